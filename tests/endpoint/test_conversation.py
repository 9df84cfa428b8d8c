"""Requests of one conversation come to one engine, whichever proxy they pass, unless it takes none or has too many."""

import socket
import time
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from components.endpoint.haproxy import DoorRules, haproxy_configuration
from components.endpoint.haproxy_sections import CONVERSATION_ID, engine_server
from components.endpoint.limits import LIMITS_PORT, limits_configuration
from components.ray_cluster.ray_cluster import PORT
from tests.endpoint.door import CHUNKS, Door, Engine, Run, free_port, running_engine, running_haproxy, status_of
from tests.endpoint.test_drain import HEARD_WITHIN_SECONDS, running_supervisor
from tests.endpoint.test_engine import all_of
from tests.endpoint.test_paths import BODY, LENGTH, request

NAMES = ("vllm", "vllm-1", "vllm-2")
CONVERSATIONS = [f"conversation-{number}" for number in range(20)]
STREAM = b'{"stream": true}'
REACHED_WITHIN_SECONDS = 20
MUTE = "127.0.0.9"
"""Where nobody listens."""


def turn(conversation: str) -> bytes:
    return request("POST", "/v1/completions", f"{LENGTH}{CONVERSATION_ID}: {conversation}\r\n", BODY)


def long_turn(header: str) -> bytes:
    return request("POST", "/v1/completions", f"Content-Length: {len(STREAM)}\r\n{header}", STREAM)


@contextmanager
def running_engines(count: int) -> Generator[list[Engine]]:
    """Run stubs on one port of several addresses."""
    with ExitStack() as stack:
        engines = [stack.enter_context(running_engine())]
        for number in range(1, count):
            engines.append(stack.enter_context(running_engine(f"127.0.0.{number + 1}", engines[0].port)))
        yield engines


@contextmanager
def running_proxy(folder: Path, engines: Sequence[Engine], changed: Mapping[str, str] | None = None) -> Generator[Door]:
    """Run a proxy before the stubs. Supervisors of all but the first are asked where nobody listens."""
    folder.mkdir()
    with running_haproxy(folder, engines[0], configuration(engines), PORT, Run(changed=changed or {})) as door:
        yield door


def configuration(engines: Sequence[Engine]) -> str:
    return haproxy_configuration(servers(engines), DoorRules(guarded=False), counter="127.0.0.1")


def servers(engines: Sequence[Engine]) -> list[str]:
    return [
        engine_server(engine.host, MUTE if number else "127.0.0.1", NAMES[number])
        for number, engine in enumerate(engines)
    ]


def engine_of(door: Door, engines: Sequence[Engine], conversation: str) -> int:
    """Return the number of the engine that the next turn came to."""
    for engine in engines:
        engine.reached.clear()
    assert status_of(door.send(turn(conversation))) == 200
    [reached] = [number for number, engine in enumerate(engines) if engine.reached]
    return reached


def engines_of(door: Door, engines: Sequence[Engine]) -> dict[str, int]:
    return {conversation: engine_of(door, engines, conversation) for conversation in CONVERSATIONS}


def test_all_proxies_send_a_conversation_to_the_same_engine(tmp_path: Path) -> None:
    with (
        running_engines(3) as engines,
        running_proxy(tmp_path / "one", engines) as one,
        running_proxy(tmp_path / "two", engines) as two,
    ):
        found = engines_of(one, engines)
        assert set(found.values()) == {0, 1, 2}, "conversations are spread"
        assert [engines_of(door, engines) for door in (two, one)] == [found, found]


def test_a_new_engine_takes_some_conversations_and_moves_no_others(tmp_path: Path) -> None:
    with running_engines(3) as engines:
        with running_proxy(tmp_path / "two", engines[:2]) as door:
            before = engines_of(door, engines[:2])
        with running_proxy(tmp_path / "three", engines) as door:
            after = engines_of(door, engines)
    moved = {conversation for conversation in CONVERSATIONS if before[conversation] != after[conversation]}
    assert moved
    assert {after[conversation] for conversation in moved} == {2}


def test_conversations_of_an_engine_that_drains_go_to_the_others_at_once_and_come_back(tmp_path: Path) -> None:
    port = free_port()
    changed = {
        "agent-port 8405": f"agent-port {port}",
        f"agent-addr {MUTE} agent-port {port}": f"agent-addr {MUTE} agent-port {free_port()}",
    }
    with running_engines(3) as engines, running_proxy(tmp_path / "proxy", engines, changed) as door:
        with running_supervisor(port) as drain:
            found = engines_of(door, engines)
            drain()
            wait_for_state(door, "vllm", "DRAIN")
            drained = engines_of(door, engines)
            assert set(drained.values()) == {1, 2}
            assert engines_of(door, engines) == drained, "they stay together meanwhile"
            assert all(drained[name] == engine for name, engine in found.items() if engine), "no others move"
        with running_supervisor(port):
            wait_for_state(door, "vllm", "UP")
            assert engines_of(door, engines) == found


def wait_for_state(door: Door, name: str, state: str) -> None:
    deadline = time.monotonic() + HEARD_WITHIN_SECONDS
    while f'haproxy_server_status{{proxy="engine",server="{name}",state="{state}"}} 1' not in metrics(door):
        assert time.monotonic() < deadline, state
        time.sleep(0.1)


def metrics(door: Door) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{door.probe_port}/metrics", timeout=5) as response:
        return response.read().decode()


def test_no_turn_fails_when_its_engine_has_gone(tmp_path: Path) -> None:
    with running_engine() as engine:
        gone = Engine(engine.port, MUTE)
        with running_proxy(tmp_path / "proxy", [engine, gone]) as door:
            statuses = [status_of(door.send(turn(conversation))) for conversation in CONVERSATIONS]
            assert statuses == [200] * len(CONVERSATIONS), "also before the proxy has noticed"
            wait_for_state(door, "vllm-1", "DOWN")
            assert [status_of(door.send(turn(conversation))) for conversation in CONVERSATIONS] == statuses


@pytest.mark.parametrize("status", [401, 404])
def test_what_the_engine_of_a_conversation_does_not_know_the_other_is_asked(tmp_path: Path, status: int) -> None:
    with running_engines(2) as engines, running_proxy(tmp_path / "proxy", engines) as door:
        [name, *_] = [name for name, engine in engines_of(door, engines).items() if engine == 0]
        engines[0].status = status
        assert [status_of(door.send(turn(name))) for _ in range(5)] == [200] * 5


@pytest.mark.parametrize(
    ("count", "requests", "its_own"), [(2, 16, 12), (3, 18, 9), (3, 4, 4)], ids=["two", "three", "few"]
)
def test_an_engine_has_one_and_a_half_times_its_share_at_most_or_a_few(
    tmp_path: Path, count: int, requests: int, its_own: int
) -> None:
    with running_engines(count) as engines, running_proxy(tmp_path / "proxy", engines) as door:
        own = engine_of(door, engines, "busy")
        assert under_way(door, engines, [f"{CONVERSATION_ID}: busy\r\n"] * requests)[own] == its_own


def test_a_conversation_does_not_wait_for_its_engine_while_another_has_room(tmp_path: Path) -> None:
    changed = {"maxconn 1024": "maxconn 2"}
    with running_engines(2) as engines, running_proxy(tmp_path / "proxy", engines, changed) as door:
        assert under_way(door, engines, [f"{CONVERSATION_ID}: busy\r\n"] * 4) == {0: 2, 1: 2}


def test_requests_of_no_conversation_count_all_that_an_engine_has(tmp_path: Path) -> None:
    with running_engines(2) as engines, running_proxy(tmp_path / "proxy", engines) as door:
        own = engine_of(door, engines, "busy")
        held = under_way(door, engines, [f"{CONVERSATION_ID}: busy\r\n"] * 2 + [""] * 2)
        assert held == {own: 2, 1 - own: 2}


@pytest.mark.parametrize("values", [("",), ("busy", "other")])
def test_a_request_that_names_no_conversation_or_several_is_of_none(tmp_path: Path, values: Sequence[str]) -> None:
    headers = "".join(f"{CONVERSATION_ID}: {value}\r\n" for value in values)
    with running_engines(2) as engines, running_proxy(tmp_path / "proxy", engines) as door:
        assert under_way(door, engines, [headers] * 4) == {0: 2, 1: 2}


def under_way(door: Door, engines: Sequence[Engine], headers: Sequence[str]) -> dict[int, int]:
    """Return how many of these requests each engine has when all of them are under way, and let them end."""
    for engine in engines:
        engine.reached.clear()
    clients = [socket.create_connection(("127.0.0.1", door.port), timeout=20) for _ in headers]
    deadline = time.monotonic() + REACHED_WITHIN_SECONDS
    for sent, (client, header) in enumerate(zip(clients, headers, strict=True), 1):
        client.sendall(long_turn(header))
        while sum(len(engine.reached) for engine in engines) < sent:
            assert time.monotonic() < deadline, f"request {sent} waits"
            time.sleep(0.01)
    held = {number: len(engine.reached) for number, engine in enumerate(engines)}
    for engine in engines:
        engine.next_chunk.release(CHUNKS * len(clients))
    with ThreadPoolExecutor(len(clients)) as pool:
        assert all(answer.endswith(b"0\r\n\r\n") for answer in pool.map(all_of, clients))
    return held


def test_the_pod_that_counts_knows_conversations_too(tmp_path: Path) -> None:
    with running_engines(2) as engines:
        text = limits_configuration(servers(engines), {"team-a": {"requestsPerMinute": 1000}})
        with running_haproxy(tmp_path, engines[0], text, LIMITS_PORT, Run()) as door:
            found = engines_of(door, engines)
            assert set(found.values()) == {0, 1}
            assert engines_of(door, engines) == found
