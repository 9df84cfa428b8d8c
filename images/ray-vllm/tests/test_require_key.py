import asyncio
import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from credentials import KEY, OTHER, RIGHT_HEADERS, SECOND_HEADERS, WRONG_HEADERS
from require_key import Message, RequireKey

Spoil: TypeAlias = Callable[[Path], object]

RIGHT = (b"authorization", f"Bearer {KEY}".encode())


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


class Door:
    """A server that has started, and is asked one time after another."""

    def __init__(self) -> None:
        self._reached = 0
        self.refusals: set[int] = set()
        self._middleware = RequireKey(self._app)

    def lets_in(self, key: bytes) -> bool:
        before = self._reached
        asyncio.run(self._middleware(http("/", (b"authorization", b"Bearer " + key)), self._receive, self._send))
        return self._reached > before

    async def _app(self, *_: object) -> None:
        self._reached += 1

    async def _receive(self) -> Message:
        raise AssertionError("a refusal does not read the request")

    async def _send(self, message: Message) -> None:
        if "status" in message:
            self.refusals.add(message["status"])


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


@pytest.mark.parametrize("header", RIGHT_HEADERS)
def test_the_key_opens(header: str) -> None:
    assert call(http("/invocations", (b"authorization", header.encode()))) == ([], True)


@pytest.mark.parametrize("header", WRONG_HEADERS)
def test_another_key_does_not(header: bytes) -> None:
    assert not call(http("/v1/models", (b"authorization", header)))[1]


@pytest.mark.parametrize("second", SECOND_HEADERS)
@pytest.mark.parametrize("name", [b"authorization", b"Authorization"])
def test_two_authorization_headers_are_refused(name: bytes, second: str) -> None:
    other = (name, second.encode())
    for headers in ((RIGHT, other), (other, RIGHT)):
        sent, reached = call(http("/v1/models", *headers))
        assert (sent[0]["status"], reached) == (401, False)


def test_a_browser_may_ask_before_it_sends_the_key() -> None:
    assert call(http("/v1/chat/completions", method="OPTIONS"))[1]


def test_a_websocket_needs_the_key_too() -> None:
    scope: dict[str, Any] = {"type": "websocket", "path": "/health", "headers": []}
    assert call(scope) == ([{"type": "websocket.close", "code": 1008}], False)
    assert call(scope | {"headers": [RIGHT]})[1]


def test_start_and_end_of_the_server_pass() -> None:
    assert call({"type": "lifespan"})[1]


def missing(file: Path) -> None:
    file.unlink()


def folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def dangling(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.with_name("gone"))


def circle(file: Path) -> None:
    file.unlink()
    file.symlink_to(file)


def unreadable(file: Path) -> None:
    """Root reads every file; the memory of this process at address 0 it cannot read either."""
    file.unlink()
    file.symlink_to("/proc/self/mem")


def holding(content: bytes) -> Spoil:
    return lambda file: file.write_bytes(content)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.ENOTDIR])
def test_a_file_that_cannot_be_opened_lets_nobody_in(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door()

    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", fail)
    for key in (b"", KEY.encode()):
        assert not door.lets_in(key)


SPOILT: dict[str, Spoil] = {
    "missing": missing,
    "folder": folder,
    "named pipe": pipe,
    "link to nothing": dangling,
    "link to itself": circle,
    "unreadable": unreadable,
    "empty": holding(b""),
    "blank": holding(b" \t\n"),
    "short": holding(b"sk-012345678901"),
    "half written": holding(KEY[:10].encode()),
    "not yet written": holding(bytes(len(KEY))),
    "written after a gap": holding(bytes(8) + KEY[8:].encode()),
    "two lines": holding(f"{KEY}\n{OTHER}\n".encode()),
    "two lines far apart": holding(KEY.encode() + b" " * 2000 + OTHER.encode()),
    "byte order mark": holding(b"\xef\xbb\xbf" + KEY.encode()),
    "no text": holding(b"\xff\xfe" * 20),
    "endless": holding(b"x" * 1_000_000),
}
each_spoilt_file = pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())


@each_spoilt_file
def test_without_a_key_the_server_does_not_start(spoil: Spoil, key_file: Path) -> None:
    spoil(key_file)
    with pytest.raises(RuntimeError, match="no file with the key"):
        call(http("/"))


@pytest.mark.parametrize("value", [None, "", "."])
def test_without_a_file_the_server_does_not_start(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("API_KEY_FILE")
    if value is not None:
        monkeypatch.setenv("API_KEY_FILE", value)
    with pytest.raises(RuntimeError, match="no file with the key"):
        call(http("/"))


@each_spoilt_file
def test_a_file_that_holds_no_key_any_more_lets_nobody_in_until_it_holds_one_again(
    spoil: Spoil, key_file: Path
) -> None:
    door = Door()
    assert door.lets_in(KEY.encode())
    spoil(key_file)
    content = b"" if key_file.is_fifo() or not key_file.is_file() or key_file.is_symlink() else key_file.read_bytes()
    for sent in (b"", KEY.encode(), OTHER.encode(), KEY[:10].encode(), content, content.strip(), content[:40]):
        assert not door.lets_in(sent), sent
    assert door.refusals == {401}
    key_file.rmdir() if key_file.is_dir() else key_file.unlink(missing_ok=True)
    key_file.write_text(OTHER)
    assert door.lets_in(OTHER.encode())


def test_a_mounted_secret_that_is_renewed_never_shuts_the_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kubelet writes a new folder, points the link ..data to it, and removes the old folder."""
    mounted = tmp_path / "mounted"
    for revision, key in enumerate((KEY, OTHER)):
        (mounted / f"..{revision}").mkdir(parents=True)
        (mounted / f"..{revision}" / "key").write_text(key)
    (mounted / "..data").symlink_to("..0")
    (mounted / "key").symlink_to("..data/key")
    monkeypatch.setenv("API_KEY_FILE", str(mounted / "key"))
    door = Door()
    opened = os.open

    def renewed_meanwhile(file: str, flags: int) -> int:
        if (mounted / "..data").readlink() == Path("..0"):
            (mounted / "..new").symlink_to("..1")
            (mounted / "..new").replace(mounted / "..data")
            (mounted / "..0" / "key").unlink()
            raise FileNotFoundError(file)
        return opened(file, flags)

    monkeypatch.setattr(os, "open", renewed_meanwhile)
    assert door.lets_in(OTHER.encode())
    assert not door.lets_in(KEY.encode())


def test_another_key_in_the_file_holds_from_the_next_request_on(key_file: Path) -> None:
    door = Door()
    assert door.lets_in(KEY.encode())
    key_file.write_text(f"{OTHER}\n")
    assert not door.lets_in(KEY.encode())
    assert door.lets_in(OTHER.encode())
