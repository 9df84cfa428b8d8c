"""Bringing objects of known size and SHA-256 onto the volume, several at a time.

A file appears under its name only when it is right. What came of it is in `.git/fetch/parts/<sha256>` until then: after
a run that was killed, the next one asks for the bytes that follow.
"""

import hashlib
import logging
import os
import shutil
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from download_settings import DownloadSettings
from failure import Failed, Interrupted, binary
from inventory import Inventory, ModelFile, size_of, sync
from lease import Lease
from patience import Patience
from source import Source

log = logging.getLogger(__name__)

CONCURRENT_TRANSFERS = 8
POLL_SECONDS = 0.25
PIECE_BYTES = 1 << 20
ATTEMPTS_AT_DAMAGE = 2


class ObjectTransfer:
    """From the source, over a part, to the file's name."""

    def __init__(self, download: DownloadSettings, source: Source, files: Inventory) -> None:
        self.download, self.source = download, source
        self.verified_bytes = 0
        self._parts = download.state / "parts"
        self._paths: dict[str, list[Path]] = {}
        for file in files.files:
            self._paths.setdefault(file.sha256, []).append(download.directory / file.path)
        self._whole: set[str] = set()
        self._damages: Counter[str] = Counter()
        self._stopped, self._counting = threading.Event(), threading.Lock()

    def received(self, files: Iterable[ModelFile]) -> int:
        """Return how many bytes of the files are on the volume."""
        return sum(file.size if self._has_its_size(file) else max(size_of(self._part(file)), 0) for file in files)

    def bring(self, files: Sequence[ModelFile], lease: Lease) -> None:
        """Download and verify until every file is whole. Raises Failed with the reason when that cannot be."""
        self._parts.mkdir(exist_ok=True)
        patience = Patience(self.download, self.received(files))
        while missing := [file for file in files if file.sha256 not in self._whole]:
            self._check_space(missing)
            try:
                self._attempt(missing, lease)
            except Interrupted as why:
                patience.wait(why, self.received(files))

    def _attempt(self, files: Sequence[ModelFile], lease: Lease) -> None:
        """Try each file once. Raises Failed at once, and Interrupted when nothing else is left to do."""
        interrupted: list[Interrupted] = []
        self._stopped.clear()
        pool = ThreadPoolExecutor(CONCURRENT_TRANSFERS, "transfer")
        pending: set[Future[None]] = {pool.submit(self._bring, file) for file in files}
        try:
            while pending:
                done, pending = wait(pending, POLL_SECONDS, FIRST_COMPLETED)
                lease.check()
                for future in done:
                    try:
                        future.result()
                    except Interrupted as why:
                        interrupted.append(why)
        finally:
            self._stopped.set()
            pool.shutdown(cancel_futures=True)
        if interrupted:
            raise next((why for why in interrupted if why.lasting), interrupted[0])

    def _bring(self, file: ModelFile) -> None:
        if self._has_its_size(file) and self._is_right(file, self._paths[file.sha256][0]):
            self._whole.add(file.sha256)
            return
        part = self._part(file)
        while True:
            if size_of(part) > file.size:
                part.unlink()
            if size_of(part) < file.size:
                self._receive(file, part)
            if self._is_right(file, part):
                break
            part.unlink()
            self._damages[file.sha256] += 1
            log.warning("%s has another digest than it should: it is downloaded again", file.path)
            if self._damages[file.sha256] == ATTEMPTS_AT_DAMAGE:
                raise Failed(
                    f"{file.path} came {ATTEMPTS_AT_DAMAGE} times with another SHA-256 than {file.sha256}, which "
                    f"{self.download.repository} says that it has: put the right file there, or its right digest."
                )
        self._place(file, part)
        self._whole.add(file.sha256)

    def _receive(self, file: ModelFile, part: Path) -> None:
        """Add to the part what it lacks. Raises Interrupted when the connection ended before."""
        before = max(size_of(part), 0)
        with part.open("ab", buffering=0) as out, self.source.open(file, before) as pieces:
            for piece in pieces:
                if self._stopped.is_set():
                    raise Interrupted("another transfer failed")
                out.write(piece)
        if size_of(part) < file.size:
            raise Interrupted(f"the connection ended after {size_of(part)} of {file.size} bytes of {file.path}")

    def _is_right(self, file: ModelFile, path: Path) -> bool:
        """Whether the content, once it is safely on the disk, has its digest."""
        digest = hashlib.sha256()
        with path.open("rb", buffering=0) as content:
            os.fsync(content.fileno())
            while piece := content.read(PIECE_BYTES):
                if self._stopped.is_set():
                    raise Interrupted("another transfer failed")
                digest.update(piece)
                with self._counting:
                    self.verified_bytes += len(piece)
        return digest.hexdigest() == file.sha256

    def _place(self, file: ModelFile, part: Path) -> None:
        """Give the object its names in the model's folder. Each appears in one step."""
        first, *others = self._paths[file.sha256]
        first.parent.mkdir(parents=True, exist_ok=True)
        part.replace(first)
        sync(first.parent)
        for path in others:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(first, part)
            except OSError:
                shutil.copyfile(first, part)
            part.replace(path)
            sync(path.parent)

    def _has_its_size(self, file: ModelFile) -> bool:
        return all(size_of(path) == file.size for path in self._paths[file.sha256])

    def _part(self, file: ModelFile) -> Path:
        return self._parts / file.sha256

    def _check_space(self, missing: Sequence[ModelFile]) -> None:
        space = os.statvfs(self.download.directory)
        free = space.f_bavail * space.f_frsize
        needed = sum(file.size for file in missing) - self.received(missing)
        if needed > free:
            raise Failed(
                f"{binary(needed)} are still to come and the volume has {binary(free)} free: enlarge "
                f"deepseek:storage.size by at least {binary(needed - free)}, or remove what else is on it. "
                "The next run goes on where this one ended."
            )
