"""Is it there? Questions about the servers of the cluster, each answered within a second."""

import contextlib
import http.client
import random
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

SECONDS = 1.0
POLL_SECONDS = 0.05
FREE_PORTS = range(20000, 32768)


class NoFreePort(Exception):
    """No TCP port is free."""


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Ask again and again, for at most `seconds`; whether the answer was yes in the end."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def listens(host: str, port: int) -> bool:
    """Whether a TCP connection is accepted."""
    try:
        socket.create_connection((host, port), timeout=SECONDS).close()
    except OSError:
        return False
    return True


def socket_listens(path: Path) -> bool:
    """Whether a connection to a Unix socket is accepted."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(SECONDS)
        return connection.connect_ex(str(path)) == 0


def healthy(port: int, path: str = "/healthz", *, tls: bool = False) -> bool:
    """Whether a health page on the loopback address answers with status 200; with `tls`, whatever its certificate."""
    if tls:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=SECONDS, context=context
        )
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def free_ports(count: int) -> list[int]:
    """Find TCP ports on the loopback address that nobody uses at the moment, all different.

    They are below those that the kernel gives to outgoing connections, one of which could take a port at any time.
    """
    with contextlib.ExitStack() as taken:
        return [_take_free_port(taken) for _ in range(count)]


def _take_free_port(taken: contextlib.ExitStack) -> int:
    """Find one, and keep it until `taken` is closed."""
    for port in random.sample(FREE_PORTS, len(FREE_PORTS)):
        try:
            taken.enter_context(socket.create_server(("127.0.0.1", port)))
        except OSError:
            continue
        return port
    raise NoFreePort(f"every port from {FREE_PORTS[0]} to {FREE_PORTS[-1]} on 127.0.0.1 is in use")
