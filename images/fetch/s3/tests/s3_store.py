"""A real S3 server on loopback (moto, in a process of its own), and before it a server that makes things go wrong."""

import hashlib
import json
import re
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from faulty_front import Front
from server_process import free_port, running_server

PYTHON = Path(__file__).parents[4] / ".venv-fetch" / "bin" / "python"
"""Has what the image has, and the server."""

PREFIX = "models/V3"
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
SIGNED_FOR = "AWS4-HMAC-SHA256 Credential=nobody/20260101/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=0"
"""By which the server tells what a request is for. Until `require_keys` it looks at no signature."""


class Store(Front):
    """What the pods see: one bucket with one model."""

    def __init__(self, behind: int, bucket: str) -> None:
        super().__init__(behind)
        self.bucket = bucket

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
    port = free_port()
    command = [PYTHON, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running_server(command, port, folder / "server.log"):
        yield port


@contextmanager
def store_before(port: int, bucket: str) -> Generator[Store]:
    """Make a bucket, and serve it with the faults that a test wants."""
    ask(port, "PUT", f"/{bucket}")
    with Store(port, bucket) as store:
        threading.Thread(target=store.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield store
        store.shutdown()
