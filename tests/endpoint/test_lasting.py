"""Slow clients and the end of a proxy: who is cut, and who is not."""

import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.endpoint.door import CHUNKS, running_door, running_engine, status_of
from tests.endpoint.test_paths import request

STREAM = b'{"stream": true}'


def test_a_proxy_that_ends_finishes_its_answers_and_takes_no_others(tmp_path: Path) -> None:
    """As the pod's preStop command asks it to."""
    with running_engine() as engine, running_door(tmp_path, engine) as door:
        with socket.create_connection(("127.0.0.1", door.port), timeout=5) as connection:
            connection.sendall(request("POST", "/v1/completions", f"Content-Length: {len(STREAM)}\r\n", STREAM))
            engine.next_chunk.release()
            received = connection.recv(65536)
            door.process.send_signal(signal.SIGUSR1)
            time.sleep(0.5)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", door.port), timeout=1)
            engine.next_chunk.release(CHUNKS - 1)
            while data := connection.recv(65536):
                received += data
        assert f"data: {CHUNKS - 1}\n\n".encode() in received
        assert received.endswith(b"0\r\n\r\n")
        assert door.process.wait(5) == 0


def test_a_client_that_sends_its_headers_slowly_is_cut_and_others_are_served(tmp_path: Path) -> None:
    with running_engine() as engine, running_door(tmp_path, engine) as door:
        slow = [socket.create_connection(("127.0.0.1", door.port), timeout=15) for _ in range(100)]
        for connection in slow:
            connection.sendall(b"POST /v1/completions HTTP/1.1\r\n")
        answers: list[int] = []
        asking = threading.Thread(target=lambda: answers.append(status_of(door.send(request("GET", "/health")))))
        asking.start()
        asking.join(2)
        assert answers == [200]
        assert {status_of(connection.recv(65536)) for connection in slow} == {408}
        for connection in slow:
            connection.close()
        assert [target for _, target, _, _ in engine.reached] == ["/health"]
