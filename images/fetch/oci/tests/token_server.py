"""A server of tokens, as the CNCF Distribution's "Token Authentication Specification" has it, for a real registry."""

import base64
import json
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from oci_registry import MODEL, PASSWORD, USER, basic

SERVICE, ISSUER = "registry-of-the-tests", "tests"


class TokenHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, TokenServer)
        query = urllib.parse.parse_qs(self.path.partition("?")[2])
        self.server.asked.append(query)
        if self.headers.get("Authorization") != basic(USER, PASSWORD):
            status, told = 401, {"errors": [{"code": "UNAUTHORIZED", "message": "wrong password"}]}
        else:
            status, told = 200, {"token": self.server.token(["pull"])}
        data = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep the tests' output readable."""


class TokenServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), TokenHandler)
        self.folder = folder
        self.asked: list[dict[str, list[str]]] = []
        """The queries of the requests."""
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tokens"]
        command += ["-keyout", str(folder / "token.key"), "-out", str(folder / "token.crt")]
        subprocess.run(command, check=True, capture_output=True)

    @property
    def realm(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/token"

    def auth(self) -> dict[str, Any]:
        """The section `auth` of the registry."""
        certificate = str(self.folder / "token.crt")
        return {
            "token": {"realm": self.realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": certificate},
        }

    def token(self, actions: list[str]) -> str:
        """Return a signed token for the model's repository."""
        lines = (self.folder / "token.crt").read_text().splitlines()
        certificate = "".join(line for line in lines if "-----" not in line)
        now = int(time.time())
        header = {"typ": "JWT", "alg": "RS256", "x5c": [certificate]}
        access = [{"type": "repository", "name": MODEL, "actions": actions}]
        claims = {"iss": ISSUER, "sub": USER, "aud": SERVICE, "jti": "1", "access": access}
        claims |= {"iat": now, "nbf": now - 60, "exp": now + 300}
        text = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
        command = ["openssl", "dgst", "-sha256", "-sign", str(self.folder / "token.key")]
        signature = subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout
        return f"{text}.{encoded(signature)}"


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@contextmanager
def token_server(folder: Path) -> Generator[TokenServer]:
    with TokenServer(folder) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()
