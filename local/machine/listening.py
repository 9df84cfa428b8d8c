"""Which TCP ports have a listener on this machine, read from the kernel's own table (no `ss` needed)."""

from pathlib import Path

LISTEN = "0A"  # include/net/tcp_states.h


def parse_listening_ports(table: str) -> frozenset[int]:
    """The local ports in state LISTEN of a /proc/net/tcp or tcp6 table."""
    rows = (line.split() for line in table.splitlines()[1:])
    return frozenset(int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == LISTEN)


def listening_ports() -> frozenset[int]:
    """The TCP ports that something listens on, whatever the address."""
    tables = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
    return frozenset[int]().union(*(parse_listening_ports(table.read_text()) for table in tables if table.exists()))
