import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from require_key import Message, RequireKey

KEY = "sk-1"


@pytest.fixture(autouse=True)
def key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("API_KEY_FILE", str(tmp_path / "key"))
    (tmp_path / "key").write_text(KEY)
    return tmp_path / "key"


def call(scope: Message) -> tuple[list[Message], bool]:
    """Send one connection through the middleware; return what came out and whether the application was reached."""
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
def test_every_other_path_needs_the_key(path: str) -> None:
    sent, reached = call(http(path))
    assert not reached
    assert sent[0]["status"] == 401
    assert json.loads(sent[1]["body"])["error"]["code"] == "invalid_api_key"
    assert dict(sent[0]["headers"])[b"content-length"] == str(len(sent[1]["body"])).encode()


@pytest.mark.parametrize("path", ["/health", "/metrics"])
def test_health_and_metrics_are_open(path: str) -> None:
    assert call(http(path, method="GET")) == ([], True)


@pytest.mark.parametrize("header", [b"Bearer sk-1", b"bearer sk-1", b"Bearer  sk-1 "])
def test_the_key_opens(header: bytes) -> None:
    assert call(http("/invocations", (b"authorization", header))) == ([], True)


@pytest.mark.parametrize(
    "header", [b"sk-1", b"Bearer", b"Bearer ", b"Bearer sk-2", b"Basic sk-1", b"Bearer sk-11", b"Bearer \xff"]
)
def test_another_key_does_not(header: bytes) -> None:
    assert not call(http("/v1/models", (b"authorization", header)))[1]


def test_a_browser_may_ask_before_it_sends_the_key() -> None:
    assert call(http("/v1/chat/completions", method="OPTIONS"))[1]


def test_a_websocket_needs_the_key_too() -> None:
    scope: dict[str, Any] = {"type": "websocket", "path": "/health", "headers": []}
    assert call(scope) == ([{"type": "websocket.close", "code": 1008}], False)
    assert call(scope | {"headers": [(b"authorization", b"Bearer sk-1")]})[1]


def test_start_and_end_of_the_server_pass() -> None:
    assert call({"type": "lifespan"})[1]


@pytest.mark.parametrize("key", ["", " \n", None])
def test_without_a_key_the_server_does_not_start(key: str | None, key_file: Path) -> None:
    if key is None:
        key_file.unlink()
    else:
        key_file.write_text(key)
    with pytest.raises(RuntimeError, match="no file with the key"):
        call(http("/"))


def test_another_key_in_the_file_holds_from_the_next_request_on(key_file: Path) -> None:
    reached: list[Message] = []

    async def app(scope: Message, *_: object) -> None:
        reached.append(scope)

    async def send(_: Message) -> None:
        pass

    async def receive() -> Message:
        return {}

    door = RequireKey(app)
    old, new = (http("/", (b"authorization", b"Bearer " + key)) for key in (b"sk-1", b"sk-2"))
    asyncio.run(door(old, receive, send))
    key_file.write_text("sk-2\n")
    for scope in (old, new):
        asyncio.run(door(scope, receive, send))
    assert [scope is old for scope in reached] == [True, False], "the old key opens before, the new one after"
