"""A company's network: a server with a certificate of the company's own authority, behind a proxy with credentials."""

import base64
import json
import select
import socket
import subprocess
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast

from faulty_server import FaultyHandler, FaultyServer
from wrong_servers import speak_tls

HOST = "weights.company.test"
"""A name that only the proxy knows."""


class TlsHandler(FaultyHandler):
    """Names its objects by https://."""

    def action(self, repository: str, operation: str, entry: Mapping[str, object]) -> dict[str, object]:
        told = super().action(repository, operation, entry)
        return cast("dict[str, object]", json.loads(json.dumps(told).replace('"http://', '"https://')))


class ProxyHandler(BaseHTTPRequestHandler):
    """Connects whoever has the credentials to the one server behind it."""

    protocol_version = "HTTP/1.1"

    def do_CONNECT(self) -> None:
        assert isinstance(self.server, Proxy)
        given = self.headers.get("Proxy-Authorization", "")
        if given != self.server.wanted:
            self.send_response(407)
            self.send_header("Proxy-Authenticate", 'Basic realm="company"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.server.connected.append(self.path)
        self.close_connection = True
        self.send_response(200)
        self.end_headers()
        with socket.create_connection(("127.0.0.1", self.server.target)) as target:
            pass_on(self.connection, target)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep the tests' output readable."""


class Proxy(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, target: int, user: str, password: str) -> None:
        super().__init__(("127.0.0.1", 0), ProxyHandler)
        self.target = target
        self.wanted = f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
        self.connected: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients go away when they have what they want."""


def pass_on(one: socket.socket, other: socket.socket) -> None:
    """Hand bytes on in both directions until either side ends."""
    while True:
        ready, _, _ = select.select([one, other], [], [], 10)
        for source in ready:
            data = source.recv(65536)
            if not data:
                return
            (other if source is one else one).sendall(data)
        if not ready:
            return


@contextmanager
def company(root: Path, folder: Path, user: str, password: str) -> Generator[tuple[Proxy, Path]]:
    """Serve the repositories below `root`; give the proxy, and the certificate of the authority."""
    with FaultyServer(root, "127.0.0.1") as server:
        server.RequestHandlerClass = TlsHandler
        authority = signed(folder)
        speak_tls(server, folder / "server.pem")
        with Proxy(server.server_port, user, password) as proxy:
            for each in (server, proxy):
                threading.Thread(target=each.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
            yield proxy, authority
            for each in (server, proxy):
                each.shutdown()


def signed(folder: Path) -> Path:
    """Make an authority, and below it certificate and key of the server; return the authority's certificate."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new_key = ("-newkey", "rsa:2048", "-nodes", "-days", "2")
    openssl("req", "-x509", *new_key, "-subj", "/CN=Company", "-keyout", "ca.key", "-out", "ca.crt")
    name = ("-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}")
    openssl("req", "-x509", *new_key, *name, "-CA", "ca.crt", "-CAkey", "ca.key", "-keyout", "key", "-out", "crt")
    (folder / "server.pem").write_bytes((folder / "key").read_bytes() + (folder / "crt").read_bytes())
    return folder / "ca.crt"
