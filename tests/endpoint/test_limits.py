"""Limits of keys by name: two proxies before one pod that counts, all of them real, and a stub of vLLM."""

import json
import re
import socket
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from components.endpoint.haproxy_sections import engine_server
from components.endpoint.limits import KEY_NAME, LIMITS_PORT, limits_configuration
from planning.settings.sections import KeyLimits
from tests.endpoint.door import CHUNKS, Door, Run, running_door, running_engine, running_haproxy, status_of
from tests.endpoint.test_paths import BODY, LENGTH, request

KEYS = {"apiKey": "the-key-that-vllm-wants", "team-a": "the-key-of-team-a", "team-b": "the-key-of-team-b"}
STREAM = b'{"stream": true}'
RETURNS_WITHIN_SECONDS = 15


@contextmanager
def running(folder: Path, limits: Mapping[str, KeyLimits]) -> Generator[tuple[Door, Door, Door]]:
    """Run two proxies and the pod that counts, which comes last."""
    for name in ("counter", "one", "two"):
        (folder / name).mkdir()
    counting = limits_configuration([engine_server("127.0.0.1", "127.0.0.1")], limits)
    with (
        running_engine() as engine,
        running_haproxy(folder / "counter", engine, counting, LIMITS_PORT, Run()) as counter,
    ):
        run = Run(changed={f"DOMAIN}}:{LIMITS_PORT}": f"DOMAIN}}:{counter.port}"})
        with (
            running_door(folder / "one", engine, KEYS, run, limited=[*limits]) as one,
            running_door(folder / "two", engine, KEYS, run, limited=[*limits]) as two,
        ):
            yield one, two, counter


@pytest.fixture
def doors(tmp_path: Path) -> Iterator[tuple[Door, Door, Door]]:
    with running(tmp_path, {"team-a": {"requestsPerMinute": 4}, "team-b": {"concurrency": 2}}) as found:
        yield found


def asked(name: str, body: bytes = BODY, headers: str = "") -> bytes:
    key = f"Authorization: Bearer {KEYS[name]}\r\n"
    return request("POST", "/v1/completions", f"Content-Length: {len(body)}\r\n{key}{headers}", body)


def test_requests_a_minute_are_counted_over_both_proxies(doors: tuple[Door, Door, Door]) -> None:
    one, two, _ = doors
    statuses = [status_of(door.send(asked("team-a"))) for door in (one, two, one, two, one, two)]
    assert statuses == [200, 200, 200, 200, 429, 429]
    assert len(one.engine.reached) == 4
    assert {status_of(door.send(asked(name))) for door in (one, two) for name in ("apiKey", "team-b")} == {200}


def test_a_request_too_many_is_refused_in_the_form_of_the_api(doors: tuple[Door, Door, Door]) -> None:
    one, *_ = doors
    head, _, body = [one.send(asked("team-a")) for _ in range(5)][-1].partition(b"\r\n\r\n")
    assert status_of(head) == 429
    assert re.search(rb"(?i)^retry-after: 15\r?$", head, re.MULTILINE), "a minute has room for four"
    error = json.loads(body)["error"]
    assert (error["type"], error["code"]) == ("requests", "rate_limit_exceeded")
    assert "'team-a' may send 4 requests a minute" in error["message"]


def test_requests_under_way_are_counted_over_both_proxies_and_make_room_when_they_end(
    doors: tuple[Door, Door, Door],
) -> None:
    one, two, _ = doors
    clients = [socket.create_connection(("127.0.0.1", door.port), timeout=10) for door in (one, two)]
    for client in clients:
        client.sendall(asked("team-b", STREAM))
    while len(one.engine.reached) < len(clients):
        time.sleep(0.05)
    assert [status_of(door.send(asked("team-b"))) for door in (one, two)] == [429, 429]
    clients.pop().close()
    one.engine.next_chunk.release(CHUNKS * 2)
    assert becomes(two, "team-b", 200), "a client that went away holds nothing"
    with clients.pop() as client:
        while client.recv(65536):
            pass


def test_no_client_counts_on_the_name_of_another(doors: tuple[Door, Door, Door]) -> None:
    one, *_ = doors
    forged = [asked("team-a", headers=f"{KEY_NAME}: {name}\r\n") for name in ("team-b", "team-c", "", "apiKey")]
    assert {status_of(one.send(raw)) for raw in forged} == {200}
    assert status_of(one.send(forged[0])) == 429
    one.engine.reached.clear()
    one.send(asked("apiKey", headers=f"{KEY_NAME}: team-a\r\n"))
    [(_, _, headers, _)] = one.engine.reached
    assert KEY_NAME.lower() not in {name.lower() for name, _ in headers}


def test_models_and_health_are_not_counted(doors: tuple[Door, Door, Door]) -> None:
    one, *_ = doors
    key = f"Authorization: Bearer {KEYS['team-a']}\r\n"
    statuses = {status_of(one.send(request("GET", path, key))) for path in ("/v1/models", "/health") * 5}
    assert statuses == {200}
    assert status_of(one.send(asked("team-a"))) == 200


def test_another_key_is_refused_before_it_is_counted(doors: tuple[Door, Door, Door]) -> None:
    one, *_ = doors
    wrong = request("POST", "/v1/completions", LENGTH + "Authorization: Bearer not-a-key-at-all\r\n", BODY)
    assert {status_of(one.send(wrong)) for _ in range(10)} == {401}
    assert status_of(one.send(asked("team-a"))) == 200


def test_without_the_pod_that_counts_requests_still_pass(doors: tuple[Door, Door, Door]) -> None:
    one, _, counter = doors
    assert [status_of(one.send(asked("team-a"))) for _ in range(5)][-1] == 429
    counter.process.kill()
    counter.process.wait()
    assert becomes(one, "team-a", 200)


def becomes(door: Door, name: str, status: int) -> bool:
    deadline = time.monotonic() + RETURNS_WITHIN_SECONDS
    while status_of(door.send(asked(name), seconds=10)) != status:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True
