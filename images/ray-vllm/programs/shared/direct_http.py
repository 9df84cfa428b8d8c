"""HTTP between the pods of a cluster: never through a proxy, always with a time-out, every failure one exception."""

import json
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import Any

ERROR_CHARACTERS = 500
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class NoAnswer(Exception):
    """Nothing usable came back.

    `status` is the HTTP status, 0 when there was none; `timed_out` when the server was there and too slow; `closed`
    when it was there and closed the connection, as one does that can open no more files.
    """

    def __init__(self, text: str, *, status: int = 0, timed_out: bool = False, closed: bool = False) -> None:
        super().__init__(text)
        self.status = status
        self.timed_out = timed_out
        self.closed = closed


def open_url(
    method: str, url: str, *, body: dict[str, Any] | None = None, token: str = "", timeout: float | None
) -> HTTPResponse:
    """Return the open response to a request; `timeout` bounds each read (seconds), None is for streams only."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        response: HTTPResponse = _OPENER.open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            text = _body(error).decode(errors="replace").strip()
        # The end of a long error: Ray answers with tracebacks.
        message = f"HTTP {error.code}: {text[-ERROR_CHARACTERS:] or error.reason}"
        raise NoAnswer(message, status=error.code) from None
    except (OSError, HTTPException) as error:
        raise _no_answer(error) from None
    return response


def fetch(method: str, url: str, *, body: dict[str, Any] | None = None, token: str = "", timeout: float) -> str:
    """Return the text of the response to a request."""
    with open_url(method, url, body=body, token=token, timeout=timeout) as response:
        try:
            return response.read().decode(errors="replace")
        except (OSError, HTTPException) as error:
            raise _no_answer(error) from None


def _body(error: urllib.error.HTTPError) -> bytes:
    """Return what came of an error's body: a server that ends may cut it."""
    try:
        return error.read()
    except IncompleteRead as cut:
        return cut.partial
    except (OSError, HTTPException):
        return b""


def _no_answer(error: OSError | HTTPException) -> NoAnswer:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    return NoAnswer(
        str(cause) or type(cause).__name__,
        timed_out=isinstance(cause, TimeoutError),
        closed=isinstance(cause, ConnectionResetError | BrokenPipeError),
    )
