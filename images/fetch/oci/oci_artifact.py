"""The model as an artifact in an OCI registry, by the OCI Distribution Specification 1.1.

A manifest is asked for by tag or digest, and its own SHA-256 is the digest of the whole model: it names every layer by
its SHA-256. A layer is asked for by its digest, from the byte on that is missing.
"""

import hashlib
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import oci_manifest
from download_settings import DownloadSettings
from failure import Failed
from inventory import Inventory, ModelFile
from oci_client import Client
from oci_failures import Request, no_registry

PIECE_BYTES = 1 << 16
"""What is written at once, and the most of each transfer that is lost with a pod."""

PARTIAL_CONTENT = 206


class OciArtifact:
    """The files of one artifact, a layer each."""

    def __init__(self, download: DownloadSettings) -> None:
        self.download, self.address = download, download.repository
        self._client = Client(download)

    def resolve(self) -> str:
        """Return the SHA-256 of the manifest that the revision names now. Raises Failed or Interrupted."""
        return self._manifest()[0]

    def inventory(self) -> Inventory:
        """Return the files that the manifest names, sizes in bytes. Raises Failed or Interrupted."""
        digest, content = self._manifest()
        try:
            files = oci_manifest.read(content, f"{self.address} at {self.download.revision}")
        except ValueError as error:
            raise no_registry(self._request(""), str(error)) from error
        if not files:
            raise Failed(f"{self.address} at {self.download.revision} has no layers: {oci_manifest.PUSH}.")
        return Inventory(self.address, self.download.revision, digest, files)

    @contextmanager
    def open(self, file: ModelFile, offset: int) -> Generator[Iterator[bytes]]:
        """Give the content of a file from a byte on, in pieces. Raises Failed or Interrupted, also while it is read."""
        span = {"Range": f"bytes={offset}-"} if offset else {}
        with self._client.get(f"blobs/sha256:{file.sha256}", self._request(file.path), span) as answer:
            skipped = 0 if answer.status == PARTIAL_CONTENT else offset
            yield _without_beginning(answer.stream(PIECE_BYTES, decode_content=False), skipped)

    def _manifest(self) -> tuple[str, bytes]:
        """Return the digest of the manifest, and its text. Raises Failed where `model.revision` is another digest."""
        wanted = self.download.revision
        reference = f"sha256:{wanted}" if is_digest(wanted) else wanted
        accepted = {"Accept": ", ".join(oci_manifest.MANIFESTS)}
        content = bytearray()
        with self._client.get(f"manifests/{reference}", self._request(""), accepted) as answer:
            for piece in answer.stream(PIECE_BYTES, decode_content=False):
                content += piece
                if len(content) > oci_manifest.MOST_BYTES:
                    raise Failed(
                        f"{self.address} at {wanted} has a manifest of more than {oci_manifest.MOST_BYTES >> 20} MiB: "
                        "correct deepseek:model.repository."
                    )
        digest = hashlib.sha256(content).hexdigest()
        if is_digest(wanted) and digest != wanted:
            raise Failed(
                f"{self.address} answered with a manifest whose SHA-256 is {digest}, and deepseek:model.revision pins "
                f"{wanted}: the registry, or a cache before it, holds something else."
            )
        return digest, bytes(content)

    def _request(self, path: str) -> Request:
        return Request(self.download, path)


def is_digest(revision: str) -> bool:
    """Whether a revision names the content itself."""
    return re.fullmatch("[0-9a-f]{64}", revision) is not None


def _without_beginning(pieces: Iterator[bytes], skipped: int) -> Iterator[bytes]:
    """Give the pieces without their first bytes: a registry need not know ranges, and then begins anew."""
    for piece in pieces:
        if skipped < len(piece):
            yield piece[skipped:]
        skipped = max(skipped - len(piece), 0)
