"""An API server on loopback that answers with the objects that a test gives it."""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from kubernetes import client

Answers = Mapping[str, Any]
"""By path, or by path, `?` and field selector: an object, a list of objects as the items of a Kubernetes list, a status
code, or one with a message."""


@dataclass(frozen=True)
class StatusError:
    """A refusal in the API server's words."""

    code: int
    message: str


class StubApi(ThreadingHTTPServer):
    """Answers 404 for every other path, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self, answers: Answers) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = answers
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.sent: list[dict[str, Any]] = []

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        """Return status and body."""
        self.asked.append((path, query))
        selected = "".join(query.get("fieldSelector", []))
        found: Any = self.answers.get(f"{path}?{selected}", self.answers.get(path, 404))
        if isinstance(found, int):
            return found, {"kind": "Status", "message": f"status {found}", "code": found}
        if isinstance(found, StatusError):
            return found.code, {"kind": "Status", "message": found.message, "code": found.code}
        return 200, {"items": cast("list[Any]", found)} if isinstance(found, list) else found


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        url = urlsplit(self.path)
        assert isinstance(self.server, StubApi)
        status, body = self.server.answer(url.path, parse_qs(url.query))
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        assert isinstance(self.server, StubApi)
        self.server.sent.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.do_GET()

    def do_PATCH(self) -> None:
        assert self.headers["Content-Type"] == "application/merge-patch+json"
        self.do_POST()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name in the base class
        """Be quiet."""


@contextmanager
def stub_api(answers: Answers) -> Generator[tuple[client.ApiClient, StubApi]]:
    """Give a client of such a server within this context."""
    server = StubApi(answers)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    settings = client.Configuration()
    settings.host = f"http://127.0.0.1:{server.server_port}"
    try:
        with client.ApiClient(settings) as api:
            yield api, server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
