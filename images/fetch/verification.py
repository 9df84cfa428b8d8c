"""Reading files back and comparing their digests with those of Git and Git LFS, while others are still downloading."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from inventory import ModelFile
from object_store import ObjectStore

THREADS = min(os.cpu_count() or 1, 8)
PIECE_BYTES = 1 << 20
SHA1_DIGITS = 40


class Verifier:
    """The digests of large files, each computed as soon as the file is there."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.verified_bytes = 0
        self._pool = ThreadPoolExecutor(THREADS, "verify")
        self._results: dict[str, Future[bool]] = {}

    def close(self) -> None:
        """End without beginning with another file."""
        self._pool.shutdown(cancel_futures=True)

    def start(self, files: Sequence[ModelFile]) -> None:
        """Begin with those that are on the volume by now."""
        for file in files:
            if file.sha256 not in self._results and (path := self.store.locate(file)):
                self._results[file.sha256] = self._pool.submit(self._is_whole, file, path)

    def damaged(self, files: Sequence[ModelFile]) -> list[ModelFile]:
        """Wait for all of the files; those returned are not what they should be, and are checked again next time."""
        self.start(files)
        damaged = [file for file in files if not self._results[file.sha256].result()]
        for file in damaged:
            del self._results[file.sha256]
        return damaged

    def _is_whole(self, file: ModelFile, path: Path) -> bool:
        """Whether the content, once it is safely on the disk, has its digest."""
        digest = hashlib.sha256()
        with path.open("rb", buffering=0) as content:
            os.fsync(content.fileno())
            while piece := content.read(PIECE_BYTES):
                digest.update(piece)
                self.verified_bytes += len(piece)
        return digest.hexdigest() == file.sha256


def small_file_is_whole(file: ModelFile, path: Path) -> bool:
    """Whether the folder holds the blob that Git committed; a symbolic link's blob is its target."""
    digest = hashlib.new("sha1" if len(file.blob) == SHA1_DIGITS else "sha256", usedforsecurity=False)
    digest.update(b"blob %d\0" % file.size)
    try:
        if path.is_symlink():
            digest.update(os.fsencode(path.readlink()))
        else:
            with path.open("rb") as content:
                while piece := content.read(PIECE_BYTES):
                    digest.update(piece)
    except OSError:
        return False
    return digest.hexdigest() == file.blob
