"""A host of models on loopback, which answers range requests as huggingface.co does."""

from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

COMMIT = "c" * 40


class Handler(BaseHTTPRequestHandler):
    folder: ClassVar[Path]
    ranges: ClassVar[bool] = True
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        revision, _, name = self.path.removeprefix("/owner/small/resolve/").partition("/")
        path = self.folder / name
        if revision not in ("main", COMMIT) or not path.is_file():
            self.send_error(404)
            return
        start, end = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
        with path.open("rb") as file:
            file.seek(start)
            part = file.read(end - start + 1)
        self.send_response(206 if self.ranges else 200)
        self.send_header("Content-Range", f"bytes {start}-{start + len(part) - 1}/{path.stat().st_size}")
        self.send_header("Content-Length", str(len(part)))
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        self.wfile.write(part)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that it has there
        """Say nothing."""


@contextmanager
def host(folder: Path, *, ranges: bool = True) -> Generator[tuple[str, list[str]]]:
    """The address of the repository, and the paths that are asked for."""
    handler = type("H", (Handler,), {"folder": folder, "ranges": ranges, "asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/owner/small", handler.asked
        finally:
            server.shutdown()
            thread.join()
