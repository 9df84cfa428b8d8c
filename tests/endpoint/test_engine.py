"""The model behind the door: it is found anew when its address changes, and more than it takes waits or is refused."""

import json
import re
import socket
import time
import urllib.request
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from components.endpoint.haproxy import DoorRules, haproxy_configuration
from components.endpoint.haproxy_sections import CONNECTS, engine_server
from components.ray_cluster.ray_cluster import PORT
from tests.endpoint.dns_server import running_name_server
from tests.endpoint.door import CHUNKS, Door, Engine, Run, running_door, running_engine, running_haproxy, status_of
from tests.endpoint.test_paths import request

STREAM = b'{"stream": true}'
ASK = request("POST", "/v1/completions", f"Content-Length: {len(STREAM)}\r\n", STREAM)
RESOLVED_WITHIN_SECONDS = 15
NOBODYS = "127.0.0.9"
ANOTHER = "127.0.0.2"


def test_the_models_address_is_asked_for_again_and_again(tmp_path: Path) -> None:
    with running_engine() as engine, running_name_server() as names:
        changed = {"parse-resolv-conf": f"nameserver stub 127.0.0.1:{names.port}", "hold valid 10s": "hold valid 1s"}
        with running_door(tmp_path, engine, run=Run(changed=changed), host="engine.invalid") as door:
            assert status_of(door.send(request("GET", "/health"))) == 503, "the name is not known at its start"
            names.address = "127.0.0.1"
            assert answers_become(door, 200)
            names.address = NOBODYS
            assert answers_become(door, 503)
            names.address = "127.0.0.1"
            assert answers_become(door, 200)
            names.address = ""
            time.sleep(3)
            assert status_of(door.send(request("GET", "/health"))) == 200, "without DNS it stays where it was"


def test_of_two_engines_the_one_that_is_there_answers(tmp_path: Path) -> None:
    servers = [engine_server(host, "127.0.0.1", name) for host, name in ((NOBODYS, "vllm"), ("127.0.0.1", "vllm-1"))]
    text = haproxy_configuration(servers, DoorRules(guarded=False), counter="127.0.0.1")
    with running_engine() as engine, running_haproxy(tmp_path, engine, text, PORT, Run()) as door:
        assert [status_of(door.send(request("GET", "/health"))) for _ in range(20)] == [200] * 20
        time.sleep(3)
        with urllib.request.urlopen(f"http://127.0.0.1:{door.probe_port}/metrics", timeout=5) as response:
            metrics = response.read().decode()
    down = re.findall(r'haproxy_server_status{proxy="engine",server="([^"]+)",state="DOWN"} 1', metrics)
    assert down == ["vllm"]


def test_an_idle_engine_gets_the_next_request(tmp_path: Path) -> None:
    servers = [engine_server("127.0.0.1", "127.0.0.1", name) for name in ("vllm", "vllm-1")]
    text = haproxy_configuration(servers, DoorRules(guarded=False), counter="127.0.0.1")
    with running_engine() as engine, running_haproxy(tmp_path, engine, text, PORT, Run()) as door:
        clients = [socket.create_connection(("127.0.0.1", door.port), timeout=20) for _ in range(4)]
        for client in clients:
            client.sendall(ASK)
            time.sleep(0.05)
        with urllib.request.urlopen(f"http://127.0.0.1:{door.probe_port}/metrics", timeout=5) as response:
            metrics = response.read().decode()
        engine.next_chunk.release(CHUNKS * len(clients))
        with ThreadPoolExecutor(len(clients)) as pool:
            list(pool.map(all_of, clients))
    found = re.findall(r'haproxy_server_current_sessions{proxy="engine",server="([^"]+)"} (\d)', metrics)
    assert found == [("vllm", "2"), ("vllm-1", "2")]


@contextmanager
def running_two(folder: Path) -> Generator[tuple[Door, Engine, Engine]]:
    """Run a proxy before two stubs."""
    with running_engine() as first, running_engine(ANOTHER, first.port) as second:
        servers = [
            engine_server(engine.host, "127.0.0.1", name) for engine, name in ((first, "vllm"), (second, "vllm-1"))
        ]
        text = haproxy_configuration(servers, DoorRules(guarded=False), counter="127.0.0.1")
        with running_haproxy(folder, first, text, PORT, Run()) as door:
            yield door, first, second


def question(size: int = 100) -> bytes:
    return request("POST", "/v1/completions", f"Content-Length: {size}\r\n", b"x" * size)


@pytest.mark.parametrize("status", [401, 404])
def test_what_one_engine_does_not_know_the_other_is_asked(tmp_path: Path, status: int) -> None:
    """While a model or a key changes, an engine knows the other one until its turn."""
    with running_two(tmp_path) as (door, first, second):
        first.status = status
        assert [status_of(door.send(question())) for _ in range(10)] == [200] * 10
        assert first.reached, "it was asked, too"
        assert len(second.reached) == 10
        second.status = status
        first.reached.clear()
        second.reached.clear()
        assert status_of(door.send(question())) == status, "nobody knows it"
        assert len(first.reached) + len(second.reached) <= 1 + CONNECTS


def test_it_is_asked_also_where_the_body_comes_after_the_headers(tmp_path: Path) -> None:
    """So do most clients."""
    with running_two(tmp_path) as (door, first, _):
        first.status = 404
        headers, end, body = question().partition(b"\r\n\r\n")
        answers: list[int] = []
        for _ in range(10):
            with socket.create_connection(("127.0.0.1", door.port), timeout=20) as client:
                client.sendall(headers + end)
                time.sleep(0.05)
                client.sendall(body)
                answers.append(status_of(client.recv(65536)))
        assert answers == [200] * 10


def test_other_errors_of_an_engine_and_long_requests_are_asked_once(tmp_path: Path) -> None:
    with running_two(tmp_path) as (door, first, second):
        first.status = second.status = 500
        assert status_of(door.send(question())) == 500
        assert len(first.reached) + len(second.reached) == 1
        first.status = second.status = 404
        assert status_of(door.send(question(100_000))) == 404
        assert len(first.reached) + len(second.reached) == 2


def answers_become(door: Door, status: int) -> bool:
    deadline = time.monotonic() + RESOLVED_WITHIN_SECONDS
    while status_of(door.send(request("GET", "/health"), seconds=10)) != status:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def test_what_the_model_does_not_take_waits_and_the_rest_is_told_to_come_again(tmp_path: Path) -> None:
    changed = {"maxconn 1024": "maxconn 4", "queue(engine) ge 512": "queue(engine) ge 3"}
    with running_engine() as engine, running_door(tmp_path, engine, run=Run(changed=changed)) as door:
        clients = [socket.create_connection(("127.0.0.1", door.port), timeout=20) for _ in range(7)]
        for client in clients:
            client.sendall(ASK)
            time.sleep(0.05)
        refused = [door.send(ASK) for _ in range(20)]
        assert {status_of(response) for response in refused} == {503}
        assert all(b"retry-after: 5" in response.lower() for response in refused)
        assert json.loads(refused[0].partition(b"\r\n\r\n")[2])["error"]["type"] == "server_error"
        assert len(engine.reached) == 4
        engine.next_chunk.release(CHUNKS * len(clients))
        with ThreadPoolExecutor(len(clients)) as pool:
            answers = list(pool.map(all_of, clients))
        assert all(f"data: {CHUNKS - 1}".encode() in answer for answer in answers)
        assert len(engine.reached) == 7


def test_each_part_of_an_answer_passes_at_once(tmp_path: Path) -> None:
    """HAProxy otherwise tells the kernel that more comes, and the kernel waits 200 ms for it."""
    with running_engine() as engine, running_door(tmp_path, engine) as door:
        waited: list[float] = []
        with socket.create_connection(("127.0.0.1", door.port), timeout=10) as client:
            client.sendall(ASK)
            received = b""
            for number in range(CHUNKS):
                begin = time.monotonic()
                engine.next_chunk.release()
                while f"data: {number}\n\n".encode() not in received:
                    received += client.recv(65536)
                waited.append(time.monotonic() - begin)
        assert min(waited[:-1]) < 0.1, "a busy machine may be late with some of them"


def all_of(client: socket.socket) -> bytes:
    received = b""
    with client:
        while data := client.recv(65536):
            received += data
    return received


def test_a_proxy_tells_its_metrics_where_no_client_comes(tmp_path: Path) -> None:
    with running_engine() as engine, running_door(tmp_path, engine) as door:
        assert status_of(door.send(request("GET", "/health"), seconds=30)) == 200
        with urllib.request.urlopen(f"http://127.0.0.1:{door.probe_port}/metrics", timeout=5) as response:
            text = response.read().decode()
        assert 'haproxy_frontend_http_responses_total{proxy="door",code="2xx"} 1' in text
        assert status_of(door.send(request("GET", "/metrics"))) == 404
