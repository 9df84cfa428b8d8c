"""A real S3 server on loopback (moto, in a process of its own), and before it a server that makes things go wrong."""

import hashlib
import http.client
import json
import re
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections import Counter, deque
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PYTHON = Path(__file__).parents[4] / ".venv-fetch" / "bin" / "python"
"""Has what the image has, and the server."""

PREFIX = "models/V3"
PIECE = 1 << 14
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
SIGNED_FOR = "AWS4-HMAC-SHA256 Credential=nobody/20260101/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=0"
"""By which the server tells what a request is for. Until `require_keys` it looks at no signature."""


@dataclass
class Faults:
    """What goes wrong with answers to requests for objects, and what was sent in spite of it."""

    answers: deque[int] = field(default_factory=deque[int])
    """Statuses of the next answers."""
    cut: deque[int] = field(default_factory=deque[int])
    """After how many bytes the connections of the next answers are closed."""
    stall: deque[int] = field(default_factory=deque[int])
    """After how many bytes the next answers stop."""
    flip: bool = False
    """Whether one bit of each object is another."""
    bytes_per_second: float = float("inf")
    authorizations: list[str] = field(default_factory=list[str])
    sent: Counter[str] = field(default_factory=Counter[str])
    """Bytes of each safetensors file, by its name."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def store(self) -> "Store":
        assert isinstance(self.server, Store)
        return self.server

    def do_GET(self) -> None:
        faults = self.store.faults
        faults.authorizations.extend(self.headers.get_all("Authorization", []))
        wanted = urllib.parse.unquote(self.path.partition("?")[0])
        faulty = self.command == "GET" and wanted.endswith(".safetensors")
        if faulty and faults.answers:
            self.send_response(faults.answers.popleft())
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        connection = http.client.HTTPConnection("127.0.0.1", self.store.behind)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            # The server takes the first part of another name for a bucket.
            is_named = name.lower() == "host" and not value.startswith(("127.0.0.1", "localhost"))
            connection.putheader(name, f"127.0.0.1:{self.store.behind}" if is_named else value)
        connection.endheaders()
        answer = connection.getresponse()
        content = bytearray(answer.read())
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in {"transfer-encoding", "connection", "date", "server"}:
                self.send_header(name, value)
        self.end_headers()
        if faulty and faults.flip and content:
            content[len(content) // 2] ^= 1
        if self.command == "GET":
            self._send(wanted, bytes(content), faulty=faulty)

    def do_HEAD(self) -> None:
        self.do_GET()

    def _send(self, name: str, content: bytes, *, faulty: bool) -> None:
        faults = self.store.faults
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


class Store(ThreadingHTTPServer):
    """What the pods see: one bucket with one model."""

    daemon_threads = True

    def __init__(self, behind: int, bucket: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behind, self.bucket, self.faults = behind, bucket, Faults()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def url(self) -> str:
        return f"s3+{self.endpoint}/{self.bucket}/{PREFIX}"

    def put(self, content: Mapping[str, bytes], *, sums: bool = True, public: bool = False) -> None:
        """Put the model's files, and their digests."""
        if sums:
            lines = [f"{hashlib.sha256(data).hexdigest()}  ./{path}\n" for path, data in content.items()]
            content = {**content, "SHA256SUMS": "".join(lines).encode()}
        for path, data in content.items():
            ask(self.behind, "PUT", f"/{self.bucket}/{urllib.parse.quote(f'{PREFIX}/{path}')}", data, public=public)

    def delete(self, path: str) -> None:
        ask(self.behind, "DELETE", f"/{self.bucket}/{PREFIX}/{path}")

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that are killed in the middle are what the tests are about."""


def ask(
    port: int, method: str, path: str, data: bytes | None = None, *, service: str = "s3", public: bool = False
) -> str:
    form = "application/octet-stream" if service == "s3" else "application/x-www-form-urlencoded"
    headers = {"Authorization": SIGNED_FOR.format(service), "Content-Type": form}
    headers |= {"x-amz-acl": "public-read"} if public else {}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read().decode(errors="replace")


def new_key(port: int) -> str:
    """Make a user who may read; return the key as the stack file has it."""

    def iam(**parameters: str) -> str:
        query = urllib.parse.urlencode(parameters | {"Version": "2010-05-08"})
        return ask(port, "POST", "/", query.encode(), service="iam")

    user = f"reader-{time.monotonic_ns()}"
    iam(Action="CreateUser", UserName=user)
    iam(Action="PutUserPolicy", UserName=user, PolicyName="read", PolicyDocument=json.dumps(POLICY))
    made = iam(Action="CreateAccessKey", UserName=user)
    found = [re.search(rf"<{name}>(.*?)</{name}>", made) for name in ("AccessKeyId", "SecretAccessKey")]
    return ":".join(match[1] for match in found if match)


def require_keys(port: int, *, required: bool) -> None:
    """Let the server look at signatures and rights from now on, or no longer."""
    ask(port, "POST", "/moto-api/reset-auth", b"0" if required else b"inf")


@contextmanager
def s3_server(folder: Path) -> Generator[int]:
    """Run the server; give its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [PYTHON, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=subprocess.STDOUT
        )
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            assert process.poll() is None, (folder / "server.log").read_text()
            assert time.monotonic() < deadline, "no server"
            time.sleep(0.1)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def store_before(port: int, bucket: str) -> Generator[Store]:
    """Make a bucket, and serve it with the faults that a test wants."""
    ask(port, "PUT", f"/{bucket}")
    with Store(port, bucket) as store:
        threading.Thread(target=store.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield store
        store.shutdown()
