import asyncio
import json
from typing import Any

import pytest
from require_key import Message, RequireKey

KEY = "sk-1"


def call(scope: Message, monkeypatch: pytest.MonkeyPatch, key: str = KEY) -> tuple[list[Message], bool]:
    """Send one connection through the middleware; return what came out and whether the application was reached."""
    monkeypatch.setenv("VLLM_API_KEY", key)
    sent: list[Message] = []
    reached: list[bool] = []

    async def app(*_: object) -> None:
        reached.append(True)

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("a refusal does not read the request")

    asyncio.run(RequireKey(app)(scope, receive, send))
    return sent, bool(reached)


def http(path: str, *headers: tuple[bytes, bytes], method: str = "POST") -> Message:
    return {"type": "http", "path": path, "method": method, "headers": list(headers)}


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat/completions",
        "/invocations",
        "/tokenize",
        "/docs",
        "/",
        "/health/",
        "/healthz",
        "/metrics/x",
        "/v1/../health",
    ],
)
def test_every_other_path_needs_the_key(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent, reached = call(http(path), monkeypatch)
    assert not reached
    assert sent[0]["status"] == 401
    assert json.loads(sent[1]["body"])["error"]["code"] == "invalid_api_key"
    assert dict(sent[0]["headers"])[b"content-length"] == str(len(sent[1]["body"])).encode()


@pytest.mark.parametrize("path", ["/health", "/metrics"])
def test_health_and_metrics_are_open(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(http(path, method="GET"), monkeypatch) == ([], True)


@pytest.mark.parametrize("header", [b"Bearer sk-1", b"bearer sk-1", b"Bearer  sk-1 "])
def test_the_key_opens(header: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(http("/invocations", (b"authorization", header)), monkeypatch) == ([], True)


@pytest.mark.parametrize(
    "header", [b"sk-1", b"Bearer", b"Bearer ", b"Bearer sk-2", b"Basic sk-1", b"Bearer sk-11", b"Bearer \xff"]
)
def test_another_key_does_not(header: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not call(http("/v1/models", (b"authorization", header)), monkeypatch)[1]


def test_a_browser_may_ask_before_it_sends_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(http("/v1/chat/completions", method="OPTIONS"), monkeypatch)[1]


def test_a_websocket_needs_the_key_too(monkeypatch: pytest.MonkeyPatch) -> None:
    scope: dict[str, Any] = {"type": "websocket", "path": "/health", "headers": []}
    assert call(scope, monkeypatch) == ([{"type": "websocket.close", "code": 1008}], False)
    assert call(scope | {"headers": [(b"authorization", b"Bearer sk-1")]}, monkeypatch)[1]


def test_start_and_end_of_the_server_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    assert call({"type": "lifespan"}, monkeypatch)[1]


def test_without_a_key_the_server_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="VLLM_API_KEY is empty"):
        call(http("/"), monkeypatch, key="")
