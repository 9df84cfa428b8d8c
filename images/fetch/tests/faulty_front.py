"""A server before a real one, that makes things go wrong."""

import http.client
import socket
import time
import urllib.parse
from collections import Counter, deque
from contextlib import closing
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECE = 1 << 14


@dataclass
class Faults:
    """What goes wrong with answers to requests for large files, and what was sent in spite of it."""

    answers: deque[int] = field(default_factory=deque[int])
    """Statuses of the next answers."""
    cut: deque[int] = field(default_factory=deque[int])
    """After how many bytes the connections of the next answers are closed."""
    stall: deque[int] = field(default_factory=deque[int])
    """After how many bytes the next answers stop."""
    flip: bool = False
    """Whether one bit of each file is another."""
    no_ranges: bool = False
    """Whether the server does not know ranges."""
    sent_on_to: str = ""
    """A server that clients are sent on to, for the digest at the end of the path."""
    bytes_per_second: float = float("inf")
    authorizations: list[str] = field(default_factory=list[str])
    sent: Counter[str] = field(default_factory=Counter[str])
    """Bytes of each large file, by its name."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def front(self) -> "Front":
        assert isinstance(self.server, Front)
        return self.server

    def do_GET(self) -> None:
        faults = self.front.faults
        faults.authorizations.extend(self.headers.get_all("Authorization", []))
        wanted = urllib.parse.unquote(self.path.partition("?")[0])
        faulty = self.command == "GET" and self.front.is_large(wanted)
        if faulty and faults.answers:
            self.send_response(faults.answers.popleft())
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if faulty and faults.sent_on_to:
            self.send_response(307)
            self.send_header("Location", f"{faults.sent_on_to}/{wanted.rpartition(':')[2]}?Signature=secret-of-a-url")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        with closing(http.client.HTTPConnection("127.0.0.1", self.front.behind)) as connection:
            answer, content = self._asked(connection)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in {"transfer-encoding", "connection", "date", "server"}:
                self.send_header(name, value)
        self.end_headers()
        if faulty and faults.flip and content:
            content[len(content) // 2] ^= 1
        if self.command == "GET":
            self._send(wanted, bytes(content), faulty=faulty)

    def _asked(self, connection: http.client.HTTPConnection) -> tuple[http.client.HTTPResponse, bytearray]:
        """Pass the request on; return the answer, and its content."""
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            # The server takes the first part of another name for a bucket.
            is_named = name.lower() == "host" and not value.startswith(("127.0.0.1", "localhost"))
            if name.lower() == "range" and self.front.faults.no_ranges:
                continue
            connection.putheader(name, f"127.0.0.1:{self.front.behind}" if is_named else value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer, bytearray(answer.read())

    def do_HEAD(self) -> None:
        self.do_GET()

    def _send(self, name: str, content: bytes, *, faulty: bool) -> None:
        faults = self.front.faults
        cut = faults.cut.popleft() if faulty and faults.cut else len(content)
        stall = faults.stall.popleft() if faulty and faults.stall else len(content)
        for start in range(0, len(content), PIECE):
            if start >= min(cut, stall):
                if start < cut:
                    time.sleep(5)
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            piece = content[start : start + PIECE]
            try:
                self.wfile.write(piece)
            except OSError:  # the client went away
                return
            faults.sent[name.rpartition("/")[2]] += len(piece) if faulty else 0
            time.sleep(len(piece) / faults.bytes_per_second)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep the tests' output readable."""


class Front(ThreadingHTTPServer):
    """What the pods see; the real server is at the port `behind` of this machine."""

    daemon_threads = True

    def __init__(self, behind: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behind, self.faults = behind, Faults()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def is_large(self, path: str) -> bool:
        """Whether a path is that of a file which the faults are about."""
        return path.endswith(".safetensors")

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that are killed in the middle are what the tests are about."""
