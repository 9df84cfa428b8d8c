"""ASGI middleware for vLLM (`--middleware require_key.RequireKey`): nothing without the key but /health and /metrics.

vLLM's own `--api-key` guards /v1 and leaves other paths that generate open, /invocations among them. The key is in the
file API_KEY_FILE and is sent as `Authorization: Bearer KEY`; another key in the file holds from the next request on.
As long as the file holds no key (key_file.py tells what one is), nobody is let in, and vLLM does not start. A request
with two Authorization headers is refused, because a proxy before vLLM may have checked the other one. CORS preflights
(OPTIONS) pass: browsers send them without the key.
"""

import hmac
import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from key_file import LEAST_CHARACTERS, read_key

OPEN_PATHS = frozenset({"/health", "/metrics"})
WEBSOCKET_POLICY_VIOLATION = 1008

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

_ERROR = {
    "message": "This server needs a key: send the header 'Authorization: Bearer KEY'.",
    "type": "invalid_request_error",
    "param": None,
    "code": "invalid_api_key",
}
_REFUSAL = json.dumps({"error": _ERROR}).encode()


class RequireKey:
    """Passes on what carries the key; the rest gets 401 in OpenAI's form before the application sees it."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._file = os.environ.get("API_KEY_FILE", "")
        if not read_key(self._file):
            raise RuntimeError(
                f"API_KEY_FILE ({self._file}) is no file with the key that clients have to send: "
                f"one line of {LEAST_CHARACTERS} or more characters"
            )

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one connection (ASGI 3)."""
        if scope["type"] == "lifespan" or _is_open(scope) or self._has_key(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": WEBSOCKET_POLICY_VIOLATION})
        else:
            await _refuse(send)

    def _has_key(self, scope: Message) -> bool:
        sent = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
        return len(sent) == 1 and self._is_key(sent[0])

    def _is_key(self, header: bytes) -> bool:
        scheme, _, sent = header.partition(b" ")
        key = read_key(self._file)
        return bool(key) and scheme.lower() == b"bearer" and hmac.compare_digest(sent.strip(), key)


def _is_open(scope: Message) -> bool:
    return scope["type"] == "http" and (scope["path"] in OPEN_PATHS or scope["method"] == "OPTIONS")


async def _refuse(send: Send) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(_REFUSAL)).encode()),
        (b"www-authenticate", b"Bearer"),
    ]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": _REFUSAL})
