"""Servers that are no Git server or stand in front of one: web pages, statuses, proxies, TLS with an unknown CA."""

import ssl
import subprocess
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from faulty_server import FaultyHandler, FaultyServer

PAGE = b"<html><body>Please log in</body></html>"


class PageHandler(BaseHTTPRequestHandler):
    """Answers every request, CONNECT included, in the same way."""

    status: int
    page: bytes

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        assert isinstance(self.server, PageServer)
        self.server.requests += 1
        self.send_response(self.status)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(self.page)))
        self.end_headers()
        self.wfile.write(self.page)

    do_GET = do_POST = do_CONNECT = answer  # noqa: N815 - the base class finds them by these names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep the tests' output readable."""


class PageServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, status: int, page: bytes) -> None:
        handler = type("PageHandlerOfOneAnswer", (PageHandler,), {"status": status, "page": page})
        super().__init__(("127.0.0.1", 0), handler)
        self.requests = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients go away when they do not like the answer."""


@contextmanager
def answering(status: int = 200, page: bytes = PAGE, certificate: Path | None = None) -> Generator[PageServer]:
    """Answer every request with this status and page; with a certificate, by TLS."""
    with PageServer(status, page) as server:
        if certificate:
            speak_tls(server, certificate)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()


def speak_tls(server: ThreadingHTTPServer, certificate: Path) -> None:
    """Let a server speak TLS with the certificate and key of a file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)


def self_signed(folder: Path, name: str = "localhost") -> Path:
    """Make a certificate that no authority vouches for, with its key in the same file."""
    path = folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    command += ["-addext", f"subjectAltName=DNS:{name}", "-keyout", str(path), "-out", str(folder / "only.pem")]
    subprocess.run(command, check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + (folder / "only.pem").read_bytes())
    return path


class ElsewhereHandler(FaultyHandler):
    """Says of every object that it is at another address."""

    objects: str

    def action(self, repository: str, operation: str, entry: Mapping[str, object]) -> dict[str, object]:
        told = super().action(repository, operation, entry)
        return {**told, "actions": {operation: {"href": f"{self.objects}/{entry['oid']}?Signature=secret-of-a-url"}}}


class ElsewhereServer(FaultyServer):
    """The real Git LFS server, whose objects another server should have."""

    def __init__(self, root: Path, objects: str) -> None:
        super().__init__(root, "127.0.0.1")
        self.RequestHandlerClass = type("ElsewhereHandlerOfOne", (ElsewhereHandler,), {"objects": objects})


@contextmanager
def objects_elsewhere(root: Path, objects: str) -> Generator[ElsewhereServer]:
    """Serve the repositories below `root`, their objects at the address `objects`."""
    with ElsewhereServer(root, objects) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()
