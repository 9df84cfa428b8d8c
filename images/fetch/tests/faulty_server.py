"""The real Git LFS server, made to misbehave."""

import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from lfs_server import OBJECT, Handler, LfsServer

PIECE = 1 << 14


@dataclass(frozen=True)
class Refusal:
    status: int
    headers: dict[str, str] = field(default_factory=dict[str, str])


@dataclass
class Faults:
    """What goes wrong in answers to requests for objects, and what was sent in spite of it."""

    answers: deque[Refusal] = field(default_factory=deque[Refusal])
    """What the next answers are instead of the object."""
    cut: deque[int] = field(default_factory=deque[int])
    """After how many bytes the connections of the next answers are closed."""
    stall: deque[int] = field(default_factory=deque[int])
    """After how many bytes the next answers stop."""
    bytes_per_second: float = float("inf")
    """For each answer."""
    requests: Counter[str] = field(default_factory=Counter[str])
    """By method and kind."""
    authorizations: list[str] = field(default_factory=list[str])
    """Credentials that came with requests."""
    sent: Counter[str] = field(default_factory=Counter[str])
    """Bytes of each object."""

    @property
    def sent_bytes(self) -> int:
        return self.sent.total()


class FaultyHandler(Handler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep the tests' output readable."""

    @property
    def faults(self) -> Faults:
        assert isinstance(self.files, FaultyServer)
        return self.files.faults

    def do_GET(self) -> None:  # noqa: N802 - the base class finds it by this name
        wants_object = OBJECT.fullmatch(self.path)
        self.faults.requests["object" if wants_object else "git"] += 1
        if wants_object and self.faults.answers:
            refusal = self.faults.answers.popleft()
            self.send_head(refusal.status, 0, refusal.headers)
        else:
            super().do_GET()

    def do_POST(self) -> None:  # noqa: N802
        self.faults.requests["post"] += 1
        super().do_POST()

    def authorized(self) -> bool:
        self.faults.authorizations.extend(self.headers.get_all("Authorization", []))
        return super().authorized()

    def send_content(self, file: BinaryIO, first: int, count: int) -> None:
        end = first + count
        cut = self.faults.cut.popleft() if self.faults.cut else count
        stall = self.faults.stall.popleft() if self.faults.stall else count
        for start in range(first, end, PIECE):
            sent = start - first
            if sent >= cut:
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            if sent >= stall:
                time.sleep(5)
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            piece = min(PIECE, end - start)
            try:
                super().send_content(file, start, piece)
            except OSError:  # the client went away
                return
            self.faults.sent[Path(file.name).name] += piece
            time.sleep(piece / self.faults.bytes_per_second)


class FaultyServer(LfsServer):
    def __init__(self, root: Path, host: str) -> None:
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, 0), root, handler=FaultyHandler)
        self.host, self.faults = f"[{host}]" if ":" in host else host, Faults()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that are killed in the middle are what the tests are about."""

    def url(self, name: str = "model.git") -> str:
        return f"http://{self.host}:{self.server_port}/{name}"


@contextmanager
def serving(root: Path, host: str = "127.0.0.1") -> Generator[FaultyServer]:
    """Serve the repositories below a folder."""
    with FaultyServer(root, host) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()
