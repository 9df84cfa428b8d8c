"""Tokens by the name of a key, as an ASGI application in vLLM's place sees its requests and is seen by clients."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from count_tokens import TOKENS, CountTokens, Message
from prometheus_client import REGISTRY
from token_minute import TokenMinute

CHAT = "/v1/chat/completions"
USAGE = {"prompt_tokens": 7, "total_tokens": 10, "completion_tokens": 3}
ROLE: dict[str, Any] = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
LAST: dict[str, Any] = {"choices": [], "usage": USAGE}


def chunk(text: str) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}}]}


def event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


DONE = b"data: [DONE]\n\n"


class Server:
    """An application that answers as it is told, behind the middleware, and one client of it."""

    def __init__(self, folder: Path, content_type: str, parts: Sequence[bytes]) -> None:
        self.now = 1_000_000.0
        self.asked: list[tuple[dict[bytes, bytes], bytes]] = []
        self._type, self._parts = content_type, parts
        self.breaks_off_after: int | None = None
        self.counted: list[tuple[float, float]] = []
        self.middleware = CountTokens(self._app, TokenMinute(folder, lambda: self.now))

    def ask(self, body: object, *, name: str = "team-a", limit: int = 0, path: str = CHAT) -> list[Message]:
        headers = [(b"x-key-name", name.encode())] if name else []
        headers += [(b"x-key-tokens-per-minute", str(limit).encode())] if limit else []
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers.append((b"content-length", str(len(text)).encode()))
        half = len(text) // 2
        incoming: list[Message] = [
            {"type": "http.request", "body": text[:half], "more_body": True},
            {"type": "http.request", "body": text[half:], "more_body": False},
        ]
        sent: list[Message] = []

        async def receive() -> Message:
            return incoming.pop(0)

        async def send(message: Message) -> None:
            if self.breaks_off_after is not None and len(sent) > self.breaks_off_after:
                raise ConnectionError
            sent.append(message)
            self.counted.append(counted())

        scope: Message = {"type": "http", "method": "POST", "path": path, "headers": headers}
        asyncio.run(self.middleware(scope, receive, send))
        return sent

    async def _app(self, scope: Message, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            if not message["more_body"]:
                break
        self.asked.append((dict(scope["headers"]), body))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", self._type.encode())]})
        for part in self._parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def body_of(sent: list[Message]) -> bytes:
    return b"".join(message["body"] for message in sent[1:])


def counted(name: str = "team-a") -> tuple[float, float]:
    prompt, answer = (
        REGISTRY.get_sample_value("deepseek_tokens_total", {"key": name, "kind": kind}) or 0.0
        for kind in ("prompt", "answer")
    )
    return prompt, answer


@pytest.fixture(autouse=True)
def nothing_counted() -> None:
    TOKENS.clear()


def stream(folder: Path, *more: bytes) -> Server:
    return Server(
        folder, "text/event-stream; charset=utf-8", [event(ROLE), event(chunk("a")), event(chunk("b")), *more]
    )


def test_an_answer_counts_for_the_name_that_the_proxy_gives(tmp_path: Path) -> None:
    text = json.dumps({"choices": [{"message": {"content": "x"}}], "usage": USAGE}).encode()
    server = Server(tmp_path, "application/json", [text[:20], text[20:]])
    assert body_of(server.ask({"messages": []})) == text
    assert counted() == (7, 3)
    server.ask({"messages": []}, name="team-b")
    assert (counted(), counted("team-b")) == ((7, 3), (7, 3))


@pytest.mark.parametrize("is_stream", [True, False])
def test_an_answer_is_counted_when_its_client_has_the_end(tmp_path: Path, is_stream: bool) -> None:  # noqa: FBT001
    text = json.dumps({"choices": [], "usage": USAGE}).encode()
    server = stream(tmp_path, event(LAST), DONE) if is_stream else Server(tmp_path, "application/json", [text])
    server.ask({"stream": is_stream})
    assert server.counted[-2:] == [(0, 0), (7, 3)]


def test_a_stream_is_asked_for_its_usage_and_the_client_does_not_see_it(tmp_path: Path) -> None:
    server = stream(tmp_path, event(LAST), DONE)
    sent = server.ask({"stream": True, "messages": ["ü"]})
    [(headers, body)] = server.asked
    assert json.loads(body) == {"stream": True, "messages": ["ü"], "stream_options": {"include_usage": True}}
    assert int(headers[b"content-length"]) == len(body)
    assert body_of(sent) == event(ROLE) + event(chunk("a")) + event(chunk("b")) + DONE
    assert counted() == (7, 3)


def test_each_event_is_sent_as_it_comes(tmp_path: Path) -> None:
    sent = stream(tmp_path, event(LAST), DONE).ask({"stream": True})
    parts = [message["body"] for message in sent[1:]]
    assert parts == [event(ROLE), event(chunk("a")), event(chunk("b")), DONE, b""]


@pytest.mark.parametrize("options", [{"include_usage": True}, {"include_usage": True, "continuous_usage_stats": True}])
def test_a_client_that_asks_for_usage_gets_it(tmp_path: Path, options: dict[str, bool]) -> None:
    server = stream(tmp_path, event(LAST), DONE)
    request = {"stream": True, "stream_options": options}
    assert event(LAST) in body_of(server.ask(request))
    assert json.loads(server.asked[0][1]) == request
    assert counted() == (7, 3)


def test_other_options_of_a_stream_stay(tmp_path: Path) -> None:
    server = stream(tmp_path, event(LAST), DONE)
    server.ask({"stream": True, "stream_options": {"include_usage": False, "x": 1}})
    assert json.loads(server.asked[0][1])["stream_options"] == {"include_usage": True, "x": 1}


def test_events_that_are_cut_anywhere_are_whole_again(tmp_path: Path) -> None:
    whole = event(ROLE) + event(chunk('"usage": "choices":[]')) + event(LAST) + DONE
    for size in (1, 2, 7, 50):
        TOKENS.clear()
        parts = [whole[n : n + size] for n in range(0, len(whole), size)]
        sent = Server(tmp_path, "text/event-stream", parts).ask({"stream": True})
        assert body_of(sent) == whole.replace(event(LAST), b"")
        assert counted() == (7, 3)


def test_the_responses_api_is_counted_and_not_changed(tmp_path: Path) -> None:
    usage = {"input_tokens": 5, "output_tokens": 4}
    last = b"event: response.completed\n" + event({"type": "response.completed", "response": {"usage": usage}})
    server = Server(tmp_path, "text/event-stream", [last])
    request = b'{"stream": true}'
    assert body_of(server.ask(request, path="/v1/responses")) == last
    assert server.asked[0][1] == request
    assert counted() == (5, 4)


def test_a_stream_that_is_broken_off_counts_what_had_come(tmp_path: Path) -> None:
    server = stream(tmp_path, event(LAST), DONE)
    server.breaks_off_after = 2
    with pytest.raises(ConnectionError):
        server.ask({"stream": True})
    assert counted() == (0, 2)


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"stream": true', b'["stream"]', b'{"stream": true, "stream_options": 3}']
)
def test_a_request_that_is_no_proper_one_reaches_vllm_as_it_is(tmp_path: Path, body: bytes) -> None:
    server = Server(tmp_path, "application/json", [b"{}"])
    server.ask(body)
    assert server.asked[0][1] == body
    assert counted() == (0, 0)


@pytest.mark.parametrize("answer", [b"", b"no JSON", b'"usage"', b'{"usage": null}', b'{"usage": 3}', b'{"error": {}}'])
def test_an_answer_without_usage_costs_nothing(tmp_path: Path, answer: bytes) -> None:
    assert body_of(Server(tmp_path, "application/json", [answer]).ask({})) == answer
    assert counted() == (0, 0)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "a/b", "a b", "x" * 64])
def test_what_is_no_name_is_nobodys(tmp_path: Path, name: str) -> None:
    server = Server(tmp_path, "application/json", [json.dumps({"usage": USAGE}).encode()])
    server.ask({}, name=name, limit=1)
    server.ask({}, name=name, limit=1)
    assert counted("none") == (14, 6)
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_has_used_up_its_minute_waits_until_it_is_over(tmp_path: Path) -> None:
    server = Server(tmp_path, "application/json", [json.dumps({"usage": USAGE}).encode()])
    assert server.ask({}, limit=15)[0]["status"] == 200
    server.now += 20
    assert server.ask({}, limit=15)[0]["status"] == 200
    refused = server.ask({}, limit=15)
    assert refused[0]["status"] == 429
    assert dict(refused[0]["headers"])[b"retry-after"] == b"40"
    assert json.loads(refused[1]["body"])["error"]["code"] == "rate_limit_exceeded"
    assert len(server.asked) == 2
    assert server.ask({}, name="team-b", limit=15)[0]["status"] == 200, "another key has a minute of its own"
    server.now += 39
    assert server.ask({}, limit=15)[0]["status"] == 429
    server.now += 1
    assert server.ask({}, limit=15)[0]["status"] == 200


def test_a_key_without_a_limit_is_only_counted(tmp_path: Path) -> None:
    server = Server(tmp_path, "application/json", [json.dumps({"usage": USAGE}).encode()])
    assert {server.ask({})[0]["status"] for _ in range(5)} == {200}
    assert counted() == (35, 15)


@pytest.mark.parametrize("path", ["/v1/models", "/health", "/tokenize"])
def test_other_paths_pass_untouched(tmp_path: Path, path: str) -> None:
    server = stream(tmp_path, event(LAST), DONE)
    assert event(LAST) in body_of(server.ask({"stream": True}, path=path))
    assert json.loads(server.asked[0][1]) == {"stream": True}
