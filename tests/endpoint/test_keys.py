"""Who gets in at the door with which key, asked of the real program with raw requests."""

import json
from collections.abc import Iterator
from itertools import product

import pytest
from credentials import KEY, OTHER, RIGHT_HEADERS, SECOND_HEADERS, WRONG_HEADERS

from tests.endpoint.door import Door, running_door, running_engine, status_of
from tests.endpoint.test_paths import BODY, LENGTH, METHODS, TARGETS, request

INNER = "the-key,of-vllm-%[env(HOME)]"
"""Any character of a header may be in a key."""


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("door")
    with running_engine() as engine, running_door(folder, engine, {"apiKey": INNER, "team-a": KEY}) as running:
        yield running
    log = (folder / "log").read_text()
    assert KEY not in log
    assert INNER not in log


@pytest.fixture(autouse=True)
def nothing_reached(door: Door) -> None:
    door.engine.reached.clear()


def asked(headers: bytes) -> bytes:
    return b"GET /v1/models HTTP/1.1\r\nHost: model\r\nConnection: close\r\n" + headers + b"\r\n"


def header(value: bytes, name: bytes = b"Authorization") -> bytes:
    return name + b": " + value + b"\r\n"


@pytest.mark.parametrize("value", [*RIGHT_HEADERS, f"Bearer {INNER}"])
def test_a_known_key_opens_and_the_model_sees_its_own(door: Door, value: str) -> None:
    assert status_of(door.send(asked(header(value.encode())))) == 200
    [(_, _, headers, _)] = door.engine.reached
    assert [text for name, text in headers if name.lower() == "authorization"] == [f"Bearer {INNER}"]


@pytest.mark.parametrize("value", WRONG_HEADERS)
def test_another_key_does_not(door: Door, value: bytes) -> None:
    response = door.send(asked(header(value)))
    assert status_of(response) in {400, 401}
    assert not door.engine.reached


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *product((b"Authorization_", b"X-Authorization", b"Proxy-Authorization", b"Cookie", b"api-key"), (b"Bearer ",)),
        *product((b" Authorization", b"Authorization ", b"Authorization\t", b"Auth\x00orization"), (b"Bearer ",)),
    ],
)
def test_a_key_in_another_header_does_not(door: Door, name: bytes, value: bytes) -> None:
    assert status_of(door.send(asked(header(value + KEY.encode(), name)))) in {400, 401}
    assert not door.engine.reached


@pytest.mark.parametrize("second", SECOND_HEADERS)
@pytest.mark.parametrize("name", [b"authorization", b"Authorization", b"AUTHORIZATION"])
def test_two_authorization_headers_are_refused(door: Door, name: bytes, second: str) -> None:
    right, other = header(f"Bearer {KEY}".encode()), header(second.encode(), name)
    for headers in (right + other, other + right):
        assert status_of(door.send(asked(headers))) == 401
    assert not door.engine.reached


def test_a_refusal_has_the_form_of_the_api(door: Door) -> None:
    head, _, body = door.send(asked(header(f"Bearer {OTHER}".encode()))).partition(b"\r\n\r\n")
    assert status_of(head) == 401
    assert b"www-authenticate: bearer" in head.lower()
    error = json.loads(body)["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_api_key")


@pytest.mark.parametrize("method", METHODS)
def test_without_a_known_key_only_the_health_reaches_the_model(door: Door, method: str) -> None:
    """Every target with each method: some 500 requests."""
    for target in TARGETS:
        door.send(request(method, target, LENGTH + f"Authorization: Bearer {OTHER}\r\n", BODY))
    assert {target for _, target, _, _ in door.engine.reached} <= {"/health"}


def test_the_health_is_asked_without_a_key(door: Door) -> None:
    door.send(request("GET", "/health", f"Authorization: Bearer {KEY}\r\n"))
    [(_, _, headers, _)] = door.engine.reached
    assert "authorization" not in {name.lower() for name, _ in headers}


def test_each_request_of_a_connection_is_judged(door: Door) -> None:
    first = b"GET /v1/models HTTP/1.1\r\nHost: model\r\n" + header(f"Bearer {KEY}".encode()) + b"\r\n"
    response = door.send(first + asked(b""))
    assert response.count(b"HTTP/1.1 200") == 1
    assert response.count(b"HTTP/1.1 401") == 1
    assert len(door.engine.reached) == 1
