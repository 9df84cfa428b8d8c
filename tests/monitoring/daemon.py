"""A program that runs and is asked while a test needs it."""

import subprocess
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from local.machine import probes

STARTS_WITHIN_SECONDS, ENDS_WITHIN_SECONDS = 60.0, 20.0


def free_address() -> str:
    """Return a port of the loopback address that nobody uses, as `host:port`."""
    [port] = probes.free_ports(1)
    return f"127.0.0.1:{port}"


@contextmanager
def running(command: Sequence[str], log: Path, is_ready: Callable[[], bool]) -> Generator[None]:
    """Run a program, whose output goes into a file, until the context ends; wait for it to be ready."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        assert probes.wait_until(is_ready, STARTS_WITHIN_SECONDS), log.read_text()
        yield
    finally:
        process.terminate()
        process.wait(ENDS_WITHIN_SECONDS)
