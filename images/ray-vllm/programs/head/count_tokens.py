"""ASGI middleware for vLLM: counts prompt and answer tokens by the name of the key, and holds limits per minute.

The proxies before vLLM say whose request it is. A client cannot: they drop what it sends under these names, and
require_key.py refuses those who come past them without vLLM's own key. The counts are metrics of vLLM's `/metrics`,
which prometheus_client sums up over its API processes. They begin anew with vLLM: what was used before, a Prometheus
knows that has read them.

An answer counts before its last part is sent, so that a client that has its answer finds it counted, and its limit
used. Of a stream that its client breaks off each event counts as one token: vLLM tells the usage only with the last.
"""

import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from prometheus_client import Counter
from token_minute import TokenMinute
from token_usage import Events, Usage, has_text, is_usage_alone, usage_of, with_usage

NAME, LIMIT = b"x-key-name", b"x-key-tokens-per-minute"
"""Headers of the proxies (components/endpoint/haproxy.py)."""

NOBODY = "none"
"""Who asks without a proxy: the stack's own probes."""

ASKED_FOR_USAGE = frozenset({"/v1/chat/completions", "/v1/completions"})
COUNTED = ASKED_FOR_USAGE | {"/v1/responses"}

TOKENS = Counter("deepseek_tokens", "Tokens by the name of the key and by kind: prompt or answer.", ["key", "kind"])

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class CountTokens:
    """Passes requests on, counts what their answers cost, and refuses those of a key that has used up its minute."""

    def __init__(self, app: App, minute: TokenMinute | None = None) -> None:
        self._app = app
        self._minute = minute or TokenMinute()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one connection (ASGI 3)."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in COUNTED:
            await self._app(scope, receive, send)
            return
        name, limit = _name_and_limit(scope)
        if limit and (seconds := self._minute.seconds_until_below(name, limit)):
            await _refuse(send, f"The key '{name}' may use {limit} tokens a minute.", seconds)
            return
        request = _Request(receive)
        if scope["path"] in ASKED_FOR_USAGE:
            await request.ask_for_usage(scope)
        answer = _Answer(send, partial(self._count, name), without_usage=request.changed)
        try:
            await self._app(scope, request.receive, answer.send)
        finally:
            answer.end()

    def _count(self, name: str, usage: Usage) -> None:
        for kind, tokens in (("prompt", usage.prompt), ("answer", usage.answer)):
            TOKENS.labels(key=name, kind=kind).inc(tokens)
        if name != NOBODY and any(usage):
            self._minute.add(name, sum(usage))


class _Request:
    """A request's body, which has to be read as a whole before it can ask for more."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._read: list[Message] = []
        self.changed = False

    async def ask_for_usage(self, scope: Message) -> None:
        """Let a stream end with its usage, if the client did not ask for it."""
        while True:
            message = await self._receive()
            self._read.append(message)
            if message["type"] != "http.request" or not message.get("more_body"):
                break
        parts = [message for message in self._read if message["type"] == "http.request"]
        body = with_usage(b"".join(part.get("body", b"") for part in parts))
        if body is not None and len(parts) == len(self._read):
            self.changed = True
            self._read = [{"type": "http.request", "body": body, "more_body": False}]
            others = [(name, value) for name, value in scope["headers"] if name.lower() != b"content-length"]
            scope["headers"] = [*others, (b"content-length", str(len(body)).encode())]

    async def receive(self) -> Message:
        """Give what was read, then what comes."""
        return self._read.pop(0) if self._read else await self._receive()


class _Answer:
    """An answer on its way to the client."""

    def __init__(self, send: Send, count: Callable[[Usage], None], *, without_usage: bool) -> None:
        self._send, self._count, self._without_usage = send, count, without_usage
        self._events: Events | None = None
        self._body: list[bytes] = []
        self._usage: Usage | None = None
        self._tokens_seen = 0
        self._has_ended = False

    def end(self) -> None:
        """Count once what it has cost: by vLLM's own word, or by the events that came before it was broken off."""
        if self._has_ended:
            return
        self._has_ended = True
        if self._usage is None and self._events is None:
            self._usage = usage_of(b"".join(self._body))
        self._count(self._usage or Usage(0, self._tokens_seen))

    async def send(self, message: Message) -> None:
        """Send one message on, without the usage that only this middleware has asked for."""
        if message["type"] == "http.response.start":
            is_stream = any(
                name.lower() == b"content-type" and value.startswith(b"text/event-stream")
                for name, value in message["headers"]
            )
            self._events = Events() if is_stream else None
        elif message["type"] == "http.response.body" and self._events:
            await self._send_events(self._events, message)
            return
        elif message["type"] == "http.response.body":
            self._body.append(message.get("body", b""))
            if not message.get("more_body"):
                self.end()
        await self._send(message)

    async def _send_events(self, events: Events, message: Message) -> None:
        more, sent = bool(message.get("more_body")), b""
        for event in events.of(message.get("body", b"")):
            self._usage = usage_of(event) or self._usage
            self._tokens_seen += has_text(event)
            if not (self._without_usage and is_usage_alone(event)):
                sent += event
        if not more:
            sent += events.rest()
            self.end()
        if sent or not more:
            await self._send({**message, "body": sent})


def _name_and_limit(scope: Message) -> tuple[str, int]:
    """Return what the proxy says; a name that is none of the stack file's counts as nobody's."""
    headers = dict(scope["headers"])
    name, limit = headers.get(NAME, b"").decode("latin-1"), headers.get(LIMIT, b"")
    if not re.fullmatch(r"[A-Za-z0-9-]{1,63}", name):
        return NOBODY, 0
    return name, int(limit) if limit.isdigit() else 0


async def _refuse(send: Send, text: str, seconds: int) -> None:
    error = {"message": text, "type": "tokens", "param": None, "code": "rate_limit_exceeded"}
    body = json.dumps({"error": error}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", str(seconds).encode()),
    ]
    await send({"type": "http.response.start", "status": 429, "headers": headers})
    await send({"type": "http.response.body", "body": body})
