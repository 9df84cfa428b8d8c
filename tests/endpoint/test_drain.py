"""A supervisor that ends: the proxies send vLLM no new request, and finish what is under way."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import door_agent

from tests.endpoint.door import CHUNKS, Door, Run, free_port, running_door, running_engine, status_of
from tests.endpoint.test_lasting import STREAM
from tests.endpoint.test_paths import BODY, LENGTH, request

HEARD_WITHIN_SECONDS = 60.0
SUPERVISOR = """
import sys, time
from door_agent import DoorAgent
agent = DoorAgent(int(sys.argv[1]))
sys.stdin.readline()
agent.drain()
time.sleep(60)
"""


@contextmanager
def running_supervisor(port: int) -> Generator[Callable[[], None]]:
    """Run what of the supervisor proxies ask; calling what this gives lets it drain."""
    folder = Path(door_agent.__file__).parent
    process = subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(port)], cwd=folder, stdin=subprocess.PIPE)

    def drain() -> None:
        assert process.stdin
        process.stdin.write(b"\n")
        process.stdin.flush()

    try:
        yield drain
    finally:
        process.kill()
        process.communicate()


def asking(port: int) -> dict[str, str]:
    """Return where the proxies are to ask, in place of where they ask in a cluster."""
    return {"agent-port 8405": f"agent-port {port}"}


def answer(door: Door) -> int:
    return status_of(door.send(request("POST", "/v1/completions", LENGTH, BODY)))


def wait_for(door: Door, status: int) -> None:
    deadline = time.monotonic() + HEARD_WITHIN_SECONDS
    while (found := answer(door)) != status:
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def test_answers_under_way_are_finished_while_new_requests_are_refused(tmp_path: Path) -> None:
    port = free_port()
    with (
        running_engine() as engine,
        running_supervisor(port) as drain,
        running_door(tmp_path, engine, run=Run(changed=asking(port))) as door,
        socket.create_connection(("127.0.0.1", door.port), timeout=5) as connection,
    ):
        connection.sendall(request("POST", "/v1/completions", f"Content-Length: {len(STREAM)}\r\n", STREAM))
        engine.next_chunk.release()
        received = connection.recv(65536)
        assert answer(door) == 200
        drain()
        wait_for(door, 503)
        refused = door.send(request("POST", "/v1/completions", LENGTH, BODY))
        assert b"retry-after: 5" in refused.lower()
        engine.next_chunk.release(CHUNKS - 1)
        while data := connection.recv(65536):
            received += data
        assert received.endswith(b"0\r\n\r\n")


def test_the_next_supervisor_lets_requests_in_again(tmp_path: Path) -> None:
    port = free_port()
    with running_engine() as engine, running_door(tmp_path, engine, run=Run(changed=asking(port))) as door:
        with running_supervisor(port) as drain:
            drain()
            wait_for(door, 503)
        time.sleep(2)
        assert answer(door) == 503, "nobody has said anything else"
        with running_supervisor(port):
            wait_for(door, 200)
        time.sleep(2)
        assert answer(door) == 200, "an agent that is gone stops nothing"
