"""What the door lets through to vLLM, asked of the real program with raw requests."""

import json
import socket
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from tests.endpoint.door import CHUNKS, Door, running_door, running_engine, status_of

GENERATES = ("/v1/chat/completions", "/v1/completions", "/v1/responses")
ALLOWED = {*product(("POST",), GENERATES), ("GET", "/v1/models"), ("GET", "/health")}
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "PRI", "get", "post", "MKCOL", "")
TARGETS = (
    *GENERATES,
    *("/v1/models", "/health", "/", "", "*", "/metrics", "/invocations", "/tokenize", "/docs", "/openapi.json"),
    *("/v1/models/", "/V1/models", "/v1/Models", "//v1/models", "/v1//models", "/health/", "/healthz", "/v1"),
    *("/v1/../metrics", "/v1/models/../../metrics", "/v1/models/%2e%2e/metrics", "/v1/models%2f..", "/%76%31/models"),
    *("/health/../invocations", "/health;/../invocations", "/health%00", "/health%3f", "/health%23", "/./health"),
    *("http://vllm/metrics", "http://vllm/v1/models", "http://vllm/health", "https:/health", "vllm:8000", "health"),
    *("/v1/load_lora_adapter", "/sleep", "/reset_prefix_cache", "/v1/chat/completions/render", "\\health"),
)
BODY = b'{"model": "m"}'
LENGTH = f"Content-Length: {len(BODY)}\r\n"


def request(method: str, target: str, headers: str = "", body: bytes = b"") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: model\r\nConnection: close\r\n{headers}\r\n".encode() + body


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with running_engine() as engine, running_door(tmp_path_factory.mktemp("door"), engine) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_reached(door: Door) -> None:
    door.engine.reached.clear()


@pytest.mark.parametrize("method", METHODS)
def test_only_the_listed_paths_reach_the_model(door: Door, method: str) -> None:
    """Every target with each method: some 500 requests."""
    for target in TARGETS:
        door.engine.reached.clear()
        response = door.send(request(method, target, LENGTH, BODY))
        reached = [(verb, path) for verb, path, _, _ in door.engine.reached]
        assert reached == ([(method, target)] if (method, target) in ALLOWED else []), (method, target, response)
        if not reached:
            assert status_of(response) in {400, 404, 405}, (method, target, response)


@pytest.mark.parametrize("target", ["/nothing", "/metrics"])
def test_the_rest_is_refused_in_the_form_of_the_api(door: Door, target: str) -> None:
    head, _, body = door.send(request("GET", target)).partition(b"\r\n\r\n")
    assert status_of(head) == 404
    assert b"content-type: application/json" in head
    error = json.loads(body)["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", 404)


SMUGGLED = b"GET /metrics HTTP/1.1\r\nHost: model\r\n\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        "Transfer-Encoding: chunked\r\n",
        LENGTH + "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\n" + LENGTH,
        "Transfer-Encoding : chunked\r\n" + LENGTH,
        "Transfer-Encoding: xchunked\r\n" + LENGTH,
        "Transfer-Encoding:\tchunked\r\n" + LENGTH,
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n" + LENGTH,
        "Content-Length: 0\r\n" + LENGTH,
        LENGTH + "Content-Length: 0\r\n",
        "Content-Length: 0, 14\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: +14\r\n",
        "Content-Length: 0x0e\r\n",
        "Content-Length: 14 \r\nContent-Length: 15\r\n",
        " " + LENGTH,
        "X: a\r\n folded: b\r\n",
        "X\x00: a\r\n" + LENGTH,
        ": empty\r\n" + LENGTH,
        "no colon\r\n" + LENGTH,
    ],
)
def test_a_request_of_unclear_length_never_hides_another(door: Door, headers: str) -> None:
    raw = request("POST", "/v1/completions", headers, b"0\r\n\r\n" + SMUGGLED)
    response = door.send(raw)
    if door.engine.reached:
        [(_, target, passed, body)] = door.engine.reached
        names = [name.lower() for name, _ in passed]
        assert (target, status_of(response)) == ("/v1/completions", 200)
        assert names.count("transfer-encoding") + names.count("content-length") <= 1, "the model sees one length"
        assert body == b"", "of a body that ends at its first chunk"
    else:
        assert status_of(response) == 400, response


def test_a_body_in_chunks_passes(door: Door) -> None:
    chunks = b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in (BODY[:5], BODY[5:], b""))
    response = door.send(request("POST", "/v1/completions", "Transfer-Encoding: chunked\r\n", chunks))
    assert status_of(response) == 200
    [(_, _, _, body)] = door.engine.reached
    assert body == BODY


def test_a_second_request_on_a_connection_is_judged_too(door: Door) -> None:
    first = b"GET /health HTTP/1.1\r\nHost: model\r\n\r\n"
    response = door.send(first + request("GET", "/metrics"))
    assert response.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 404" in response
    assert [target for _, target, _, _ in door.engine.reached] == ["/health"]


def test_a_connection_is_not_upgraded(door: Door) -> None:
    door.send(request("GET", "/health", "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"))
    [(_, _, headers, _)] = door.engine.reached
    assert "upgrade" not in {name.lower() for name, _ in headers}


def test_a_body_is_bounded(door: Door) -> None:
    response = door.send(request("POST", "/v1/completions", f"Content-Length: {16 * 1024 * 1024 + 1}\r\n", BODY))
    assert status_of(response) == 413
    assert not door.engine.reached


def test_a_body_in_chunks_is_bounded_too(door: Door) -> None:
    megabyte = b"100000\r\n" + bytes(1024 * 1024) + b"\r\n"
    headers = "Transfer-Encoding: chunked\r\n"
    assert status_of(door.send(request("POST", "/v1/completions", headers, 16 * megabyte + b"0\r\n\r\n"), 30)) == 200
    door.engine.reached.clear()
    response = door.send(request("POST", "/v1/completions", headers, 17 * megabyte + b"0\r\n\r\n"), 30)
    assert status_of(response) in {0, 400}, "0: cut while it still sends"
    assert not door.engine.reached


def test_a_browser_may_ask_before_it_sends_the_request(door: Door) -> None:
    asked = "Origin: https://example.com\r\nAccess-Control-Request-Headers: authorization,content-type\r\n"
    response = door.send(request("OPTIONS", "/v1/chat/completions", asked))
    assert status_of(response) == 204
    assert b"access-control-allow-headers: authorization,content-type" in response.lower()
    assert not door.engine.reached


def test_an_event_stream_passes_chunk_by_chunk(door: Door) -> None:
    body = b'{"stream": true}'
    with socket.create_connection(("127.0.0.1", door.port), timeout=5) as connection:
        connection.sendall(request("POST", "/v1/chat/completions", f"Content-Length: {len(body)}\r\n", body))
        received = b""
        for number in range(CHUNKS):
            assert f"data: {number}".encode() not in received
            door.engine.next_chunk.release()
            while f"data: {number}\n\n".encode() not in received:
                received += connection.recv(65536)


def test_without_an_engine_the_answer_says_when_to_try_again(tmp_path: Path) -> None:
    with running_engine() as engine:
        pass
    with running_door(tmp_path, engine) as shut:
        response = shut.send(request("GET", "/health"), seconds=15)
    assert status_of(response) == 503
    assert b"retry-after: 5" in response.lower()
    assert json.loads(response.partition(b"\r\n\r\n")[2])["error"]["type"] == "server_error"


def test_the_key_passes_to_the_model_unchanged(door: Door) -> None:
    door.send(request("GET", "/v1/models", "Authorization: Bearer a-key\r\n"))
    [(_, _, headers, _)] = door.engine.reached
    assert [value for name, value in headers if name.lower() == "authorization"] == ["Bearer a-key"]
