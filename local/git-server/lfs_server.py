"""A Git server with Git LFS over HTTP, for tests and for clusters that have no model of their own.

    python3 lfs_server.py /srv/git --host 127.0.0.1 --port 8080

Serves every bare repository `NAME.git` below the folder: clone and push through `git http-backend`, and the objects of
Git LFS (batch API, basic transfers, ranges), kept in `NAME.git/lfs/objects` as git-lfs itself keeps them. With
LFS_SERVER_TOKEN set, everything needs HTTP basic authentication with that token as the password. Plain HTTP, one
process, no quotas: not a server for the open network.
"""

import argparse
import base64
import binascii
import hashlib
import hmac
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, BinaryIO
from urllib.parse import urlsplit

BATCH = re.compile(r"/(?P<repository>[\w.-]+\.git)/info/lfs/objects/batch")
OBJECT = re.compile(r"/(?P<repository>[\w.-]+\.git)/info/lfs/objects/(?P<oid>[0-9a-f]{64})")
RANGE = re.compile(r"bytes=(?P<first>\d+)-(?P<last>\d*)")


class Handler(BaseHTTPRequestHandler):
    """One connection. Subclasses may answer otherwise, for example to test what a client makes of it."""

    protocol_version = "HTTP/1.1"

    def __init__(self, request: object, client: object, server: "LfsServer") -> None:
        self.files = server
        super().__init__(request, client, server)  # pyright: ignore[reportArgumentType]: sockets, says the base class

    def do_GET(self) -> None:
        """Send an object, or let Git answer."""
        if not self.authorized():
            return
        if match := OBJECT.fullmatch(self.path):
            self.send_object(self.files.object_path(match["repository"], match["oid"]))
        else:
            self.run_git()

    def do_POST(self) -> None:
        """Answer Git LFS's batch request, or let Git answer."""
        if not self.authorized():
            return
        if match := BATCH.fullmatch(self.path):
            self.send_batch(match["repository"])
        else:
            self.run_git()

    def do_PUT(self) -> None:
        """Receive an object."""
        if not self.authorized():
            return
        if match := OBJECT.fullmatch(self.path):
            self.receive_object(self.files.object_path(match["repository"], match["oid"]))
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def authorized(self) -> bool:
        """Whether the request carries the token; answers it with 401 otherwise."""
        if not self.files.token or hmac.compare_digest(self.password(), self.files.token):
            return True
        self.body().close()
        self.send_head(HTTPStatus.UNAUTHORIZED, 0, {"WWW-Authenticate": 'Basic realm="models"'})
        return False

    def password(self) -> str:
        """Return what stands behind the user's name, empty when there is nothing."""
        try:
            credentials = base64.b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode()
        except (binascii.Error, UnicodeDecodeError):
            return ""
        return credentials.partition(":")[2]

    def body(self) -> IO[bytes]:
        """Return the request's body as a file, because objects may be larger than the memory."""
        file = tempfile.TemporaryFile(dir=self.files.root)  # noqa: SIM115 - the caller closes it
        left = int(self.headers.get("Content-Length") or 0)
        while left and (piece := self.rfile.read(min(left, 1 << 20))):
            left -= file.write(piece)
        file.seek(0)
        return file

    def send_head(self, status: int, length: int, headers: Mapping[str, str]) -> None:
        """Send everything before the body of an answer."""
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(name, value)
        self.end_headers()

    # Git LFS: https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md

    def send_batch(self, repository: str) -> None:
        """Answer where each object can be downloaded from or uploaded to."""
        with self.body() as body:
            request = json.load(body)
        objects = [self.action(repository, request["operation"], entry) for entry in request["objects"]]
        answer = json.dumps({"transfer": "basic", "objects": objects}).encode()
        self.send_head(HTTPStatus.OK, len(answer), {"Content-Type": "application/vnd.git-lfs+json"})
        self.wfile.write(answer)

    def action(self, repository: str, operation: str, entry: Mapping[str, object]) -> dict[str, object]:
        """Return the answer for one object."""
        oid = str(entry["oid"])
        stored = self.files.object_path(repository, oid).is_file()
        if operation == "download" and not stored:
            return {**entry, "error": {"code": 404, "message": "Object does not exist"}}
        if operation == "upload" and stored:
            return {**entry}
        action: dict[str, object] = {"href": f"http://{self.headers['Host']}/{repository}/info/lfs/objects/{oid}"}
        if authorization := self.headers.get("Authorization"):
            action["header"] = {"Authorization": authorization}
        return {**entry, "authenticated": True, "actions": {operation: action}}

    def send_object(self, path: Path) -> None:
        """Send an object, or the range that the request asks for."""
        if not path.is_file():
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        size = path.stat().st_size
        wanted = RANGE.fullmatch(self.headers.get("Range", ""))
        first = int(wanted["first"]) if wanted else 0
        last = min(int(wanted["last"]), size - 1) if wanted and wanted["last"] else size - 1
        if wanted and first > last:
            self.send_error(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            return
        status = HTTPStatus.PARTIAL_CONTENT if wanted else HTTPStatus.OK
        headers = {"Content-Range": f"bytes {first}-{last}/{size}"} if wanted else {}
        self.send_head(status, last - first + 1, {"Content-Type": "application/octet-stream"} | headers)
        with path.open("rb") as file:
            self.send_content(file, first, last - first + 1)

    def send_content(self, file: BinaryIO, first: int, count: int) -> None:
        """Send `count` bytes of an object, from `first` on."""
        if count:
            self.connection.sendfile(file, first, count)

    def receive_object(self, path: Path) -> None:
        """Keep an object, if it has the digest that it is named by."""
        content, received = hashlib.sha256(), self.body()
        path.parent.mkdir(parents=True, exist_ok=True)
        with received as body, tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            while piece := body.read(1 << 20):
                content.update(piece)
                file.write(piece)
        if content.hexdigest() == path.name:
            Path(file.name).replace(path)
            self.send_head(HTTPStatus.OK, 0, {})
        else:
            Path(file.name).unlink()
            self.send_error(HTTPStatus.UNPROCESSABLE_ENTITY, "the content does not have this SHA-256")

    # Git: https://git-scm.com/docs/git-http-backend

    def run_git(self) -> None:
        """Answer through Git's own CGI program."""
        url = urlsplit(self.path)
        variables = {
            "GIT_PROJECT_ROOT": str(self.files.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_USER": "anyone",
            "REMOTE_ADDR": "127.0.0.1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": self.headers.get("Content-Length", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        with self.body() as body, tempfile.TemporaryFile(dir=self.files.root) as answer:
            # What is wrong with a request stands in the answer; the exit status says no more.
            subprocess.run(["git", "http-backend"], env=os.environ | variables, stdin=body, stdout=answer, check=False)
            answer.seek(0)
            self.send_cgi_answer(answer)

    def send_cgi_answer(self, answer: IO[bytes]) -> None:
        """Send what a CGI program wrote."""
        headers: dict[str, str] = {}
        while line := answer.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name] = value.strip()
        status = int(headers.pop("Status", "200").split()[0])
        start, end = answer.tell(), answer.seek(0, os.SEEK_END)
        self.send_head(status, end - start, headers)
        answer.seek(start)
        shutil.copyfileobj(answer, self.wfile)


class LfsServer(ThreadingHTTPServer):
    """The repositories below `root`; an empty `token` means that nobody is asked for one."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], root: Path, token: str = "", handler: type[Handler] = Handler) -> None:
        self.root, self.token = root.resolve(), token
        super().__init__(address, handler)

    def object_path(self, repository: str, oid: str) -> Path:
        """Return where an object of a repository is kept."""
        return self.root / repository / "lfs" / "objects" / oid[:2] / oid[2:4] / oid


def main() -> None:
    """Serve until the process is stopped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder of the bare repositories")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    args = parser.parse_args()
    with LfsServer((args.host, args.port), args.root, os.environ.get("LFS_SERVER_TOKEN", "")) as server:
        print(f"Serving {server.root} at http://{args.host}:{server.server_port}/", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
