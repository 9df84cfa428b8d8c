"""The model's bucket through botocore, the client library of AWS.

The signature of a request is made from the secret key, which itself is never sent. A bucket's region is found from the
server's own answer, by botocore. A store with an address of its own is asked by paths (`http://store/bucket/key`),
because not every one has a host name for each bucket.
"""

import hashlib
import os
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

import sha256sums
from botocore import UNSIGNED
from botocore.config import Config
from botocore.session import Session
from download_settings import DownloadSettings
from failure import Failed, Interrupted
from inventory import Inventory, ModelFile
from object_transfer import CONCURRENT_TRANSFERS
from s3_failures import Request, explain, is_absent

AMAZON = "https://s3.amazonaws.com"
FIRST_REGION = "us-east-1"
"""Whom a server without regions takes a request from; others name the bucket's in their answer."""

ATTEMPTS = 3
"""Of each request, within seconds. The program tries for longer, and tells so."""

PIECE_BYTES = 1 << 16
"""What is written at once, and the most of each transfer that is lost with a pod."""

NAMES_IN_A_MESSAGE = 5


class Body(Protocol):
    """The content of an object, as it comes."""

    def iter_chunks(self, chunk_size: int) -> Iterator[bytes]:
        """Give it in pieces."""
        ...

    def close(self) -> None:
        """Close the connection, or give it back when all was read."""
        ...


class Client(Protocol):
    """What of botocore's client is used; its classes are made at run time."""

    def get_object(self, **parameters: str) -> Mapping[str, Any]:
        """Return the answer, with a stream `Body`."""
        ...

    def head_object(self, **parameters: str) -> Mapping[str, Any]:
        """Return the answer, with `ContentLength` in bytes."""
        ...


class S3Bucket:
    """The files below a prefix of one bucket: those that its object SHA256SUMS names."""

    def __init__(self, download: DownloadSettings) -> None:
        self.download, self.address = download, download.repository
        self.endpoint, self.bucket, self.prefix = parts(download.repository)
        self._client = _client(download, self.endpoint)

    def resolve(self) -> str:
        """Return the SHA-256 of SHA256SUMS, which is the digest of the whole model."""
        return self._sums()[0]

    def inventory(self) -> Inventory:
        """Return the files that SHA256SUMS names. Raises Failed when one of them is not in the bucket."""
        digest, sums = self._sums()
        with ThreadPoolExecutor(CONCURRENT_TRANSFERS, "head") as pool:
            sizes = dict(zip(sums, pool.map(self._size, sums), strict=True))
        if absent := [path for path, size in sizes.items() if size is None]:
            names = ", ".join(absent[:NAMES_IN_A_MESSAGE]) + (" …" if len(absent) > NAMES_IN_A_MESSAGE else "")
            raise Failed(
                f"{self.address} lacks {len(absent)} of the files that its {sha256sums.NAME} names ({names}): put them "
                f"there, or make {sha256sums.NAME} again."
            )
        files = tuple(ModelFile(path, sizes[path] or 0, "", sha256) for path, sha256 in sums.items())
        return Inventory(self.address, self.download.revision, digest, files)

    @contextmanager
    def open(self, file: ModelFile, offset: int) -> Generator[Iterator[bytes]]:
        """Give the content of a file from a byte on, in pieces. Raises Failed or Interrupted, also while it is read."""
        span = {"Range": f"bytes={offset}-"} if offset else {}
        with self._explained(file.path):
            body: Body = self._client.get_object(Bucket=self.bucket, Key=self._key(file.path), **span)["Body"]
        try:
            yield self._pieces(file.path, body)
        finally:
            body.close()

    def _pieces(self, path: str, body: Body) -> Iterator[bytes]:
        with self._explained(path):
            yield from body.iter_chunks(PIECE_BYTES)

    def _sums(self) -> tuple[str, dict[str, str]]:
        """Return the digest of SHA256SUMS and what it says. Raises Failed where `model.revision` is another digest."""
        with self._explained(sha256sums.NAME):
            answer = self._client.get_object(Bucket=self.bucket, Key=self._key(sha256sums.NAME))
            content: bytes = answer["Body"].read(sha256sums.MOST_BYTES + 1)
        if len(content) > sha256sums.MOST_BYTES:
            raise Failed(f"{sha256sums.NAME} at {self.address} is too long to be a list of digests.")
        digest, wanted = hashlib.sha256(content).hexdigest(), self.download.revision
        if is_digest(wanted) and digest != wanted:
            raise Failed(
                f"{sha256sums.NAME} at {self.address} has the SHA-256 {digest}, and deepseek:model.revision pins "
                f"{wanted}: somebody put other files there, or the revision is that of another folder."
            )
        return digest, sha256sums.read(content, self.address)

    def _size(self, path: str) -> int | None:
        """Return the size of an object in bytes, None where there is none."""
        try:
            with self._explained(path):
                return self._client.head_object(Bucket=self.bucket, Key=self._key(path))["ContentLength"]
        except (Failed, Interrupted) as error:
            if is_absent(error.__cause__):
                return None
            raise

    def _key(self, path: str) -> str:
        return f"{self.prefix}/{path}" if self.prefix else path

    @contextmanager
    def _explained(self, path: str) -> Generator[None]:
        """Turn an error of botocore into what it means."""
        try:
            yield
        except (Failed, Interrupted, GeneratorExit):
            raise
        except Exception as error:
            raise explain(error, Request(self.download, self.endpoint or AMAZON, self.bucket, path)) from error


def parts(address: str) -> tuple[str, str, str]:
    """Return the server, empty for Amazon's, the bucket, and the folder in it."""
    url = urlsplit(address)
    if url.scheme == "s3":
        return "", url.netloc, url.path.strip("/")
    bucket, _, folder = url.path.strip("/").partition("/")
    return f"{url.scheme.removeprefix('s3+')}://{url.netloc}", bucket, folder


def is_digest(revision: str) -> bool:
    """Whether a revision names the content itself."""
    return len(revision) == hashlib.sha256().digest_size * 2 and set(revision) <= set("0123456789abcdef")


def credentials(token: str) -> tuple[str, str]:
    """Return the id and the secret of the key. Raises Failed for what is none."""
    key_id, _, secret = token.partition(":")
    if not key_id or not secret:
        raise Failed("deepseek:modelToken is no key of an S3 store: set it to KEY_ID:SECRET.")
    return key_id, secret


def _client(download: DownloadSettings, endpoint: str) -> Client:
    key_id, secret = credentials(download.token) if download.token else (None, None)
    settings = Config(
        signature_version=None if download.token else UNSIGNED,
        connect_timeout=download.stall_seconds,
        read_timeout=download.stall_seconds,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        max_pool_connections=CONCURRENT_TRANSFERS,
        s3={"addressing_style": "path" if endpoint else "auto"},
        # Not every store has the newer checksums, and every file is verified.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    client = Session().create_client(
        "s3",
        region_name=FIRST_REGION,
        endpoint_url=endpoint or None,
        verify=os.environ.get("SSL_CERT_FILE") or None,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        config=settings,
    )
    return cast("Client", client)
