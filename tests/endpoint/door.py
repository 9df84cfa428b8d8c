"""Debian's HAProxy with the generated configuration on loopback, before a stub that notes what reaches it."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from components.endpoint.haproxy import DoorRules, haproxy_configuration
from components.endpoint.haproxy_sections import (
    CONFIGURATION_FOLDER,
    KEYS_FOLDER,
    engine_server,
    programs_of,
)
from components.endpoint.key_map import KEY_MAP, key_map
from components.ray_cluster.ray_cluster import PORT

CHUNKS = 5
STARTS_WITHIN_SECONDS = 10


@dataclass
class Engine:
    """A server in vLLM's place."""

    port: int
    host: str = "127.0.0.1"
    status: int = 200
    """Of its answers; it has no body with another one."""

    reached: list[tuple[str, str, list[tuple[str, str]], bytes]] = field(default_factory=list)
    """Method, target, headers and body of each request."""

    next_chunk: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))


@dataclass
class Door:
    """A proxy that runs, and the engine behind it."""

    port: int
    probe_port: int
    engine: Engine
    process: "subprocess.Popen[bytes]"

    def send(self, raw: bytes, seconds: float = 5) -> bytes:
        """Return all that comes back for these bytes until the proxy closes; what came until then if it does not."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=seconds) as connection:
            received = b""
            try:
                connection.sendall(raw)
                while data := connection.recv(65536):
                    received += data
            except (TimeoutError, ConnectionError):
                pass
            return received


def status_of(response: bytes) -> int:
    """Return the status of the first response; 0 if there is none."""
    found = re.match(rb"HTTP/1\.[01] (\d{3})", response)
    return int(found[1]) if found else 0


@contextmanager
def running_engine(host: str = "127.0.0.1", port: int = 0) -> Generator[Engine]:
    """Run the stub: it answers a body with `stream` in it by an event stream, a chunk whenever it is told."""
    engine = Engine(port, host)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        do_POST = do_PUT = do_DELETE = do_OPTIONS = do_HEAD = do_PATCH = do_GET  # noqa: N815

        def _answer(self) -> None:
            body = self._body()
            engine.reached.append((self.command, self.path, list(self.headers.items()), body))
            self.send_response(engine.status)
            if b"stream" in body and engine.status == 200:
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for number in range(CHUNKS):
                    engine.next_chunk.acquire(timeout=10)
                    event = f"data: {number}\n\n".encode()
                    self.wfile.write(f"{len(event):x}\r\n".encode() + event + b"\r\n")
                self.wfile.write(b"0\r\n\r\n")
                return
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def _body(self) -> bytes:
            if "transfer-encoding" not in self.headers:
                return self.rfile.read(int(self.headers.get("content-length", 0)))
            body = b""
            while size := int(self.rfile.readline() or b"0", 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name in the library
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing of a proxy that goes away."""

    server = Server((host, port), Handler)
    engine.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield engine
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass(frozen=True, kw_only=True)
class Run:
    """How HAProxy is run."""

    changed: Mapping[str, str] = field(default_factory=dict[str, str])
    """What stands in the configuration for what."""

    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    command: Sequence[str] = ()


@contextmanager
def running_door(
    folder: Path, engine: Engine, keys: Mapping[str, str] | None = None, run: Run | None = None, **settings: Any
) -> Generator[Door]:
    """Run a proxy until the context ends; with keys by name, the first is what the engine wants.

    `settings` are those of `DoorRules`, and `host`, the engine's name. Where the supervisor is asked,
    nobody listens.
    """
    run = run or Run()
    host: str = settings.pop("host", "127.0.0.1")
    rules = DoorRules(guarded=keys is not None, **settings)
    text = haproxy_configuration([engine_server(host, "127.0.0.1")], rules, counter="127.0.0.1")
    if keys:
        run = replace(run, environment={**run.environment, "INNER_KEY": next(iter(keys.values()))})
        (folder / KEY_MAP).write_text(key_map(keys))
    with running_haproxy(folder, engine, text, PORT, run) as door:
        yield door


@contextmanager
def running_haproxy(folder: Path, engine: Engine, text: str, listens: int, run: Run) -> Generator[Door]:
    """Run HAProxy with this configuration; it takes requests at a free port in place of the port `listens`."""
    port, probe = free_port(), free_port()
    places = {
        ":8404": f":{probe}",
        f"LISTEN}}:{listens}": f"LISTEN}}:{port}",
        "DOMAIN}:8000": f"DOMAIN}}:{engine.port}",
        "agent-port 8405": f"agent-port {free_port()}",
        f"{CONFIGURATION_FOLDER}/": f"{folder}/",
    }
    for was, is_now in {**places, **run.changed}.items():
        assert was in text
        text = text.replace(was, is_now)
    (folder / "haproxy.cfg").write_text(text.replace(f"{KEYS_FOLDER}/", f"{folder}/"))
    for program in programs_of(text):
        shutil.copy(program, folder)
    variables = os.environ | {"LISTEN": "127.0.0.1", "FAMILY": "ipv4", "DOMAIN": "", **run.environment}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            run.command or ["haproxy", "-db", "-f", str(folder / "haproxy.cfg")],
            env=variables,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait_for(port, process, folder / "log")
        yield Door(port, probe, engine, process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        else:
            return


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
