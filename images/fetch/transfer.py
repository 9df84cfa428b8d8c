"""Bringing Git LFS objects onto the volume with the real `git-lfs`, and not ending before each of them is whole."""

import logging
import os
import re
import subprocess
import threading
from collections import Counter
from collections.abc import Sequence

from download_settings import DownloadSettings
from failure import Failed, Interrupted, binary
from git_repository import GitRepository
from inventory import ModelFile
from lease import Lease
from lfs_output import TRACE, LfsOutput
from object_store import ObjectStore
from patience import Patience
from verification import Verifier

log = logging.getLogger(__name__)

ABSENT = re.compile(r"\b([0-9a-f]{64})\b[^\n]*(?:does not exist|not found)")
OTHER_CONTENT = re.compile(r"expected OID ([0-9a-f]{64})")
POLL_SECONDS = 0.25
ATTEMPTS_AT_DAMAGE = 3
NAMES_IN_A_MESSAGE = 5


class Transfer:
    """From the server, through git-lfs, into the store, to the verifier."""

    def __init__(
        self, download: DownloadSettings, repository: GitRepository, store: ObjectStore, verifier: Verifier
    ) -> None:
        self.download, self.repository, self.store, self.verifier = download, repository, store, verifier
        self._damages: Counter[str] = Counter()

    def bring(self, files: Sequence[ModelFile], lease: Lease) -> None:
        """Download and verify until every file is whole. Raises Failed with the reason when that cannot be."""
        patience = Patience(self.download, self.store.received(files))
        while True:
            self.store.recover(files)
            missing = self.store.missing(files)
            if missing:
                try:
                    self._attempt(missing, files, lease)
                except Interrupted as why:
                    patience.wait(why, self.store.received(files))
            elif damaged := self.verifier.damaged(files):
                self._discard(damaged)
            else:
                return

    def _discard(self, damaged: Sequence[ModelFile]) -> None:
        for file in damaged:
            self._damages[file.path] += 1
            if self._damages[file.path] == ATTEMPTS_AT_DAMAGE:
                raise Failed(
                    f"{file.path} arrived whole {ATTEMPTS_AT_DAMAGE} times and was damaged each time it was read back: "
                    "the volume's storage returns other bytes than were written. Check it."
                )
            log.warning("%s is damaged on the volume: it is downloaded again", file.path)
            self.store.discard(file)

    def _attempt(self, missing: Sequence[ModelFile], files: Sequence[ModelFile], lease: Lease) -> None:
        """Run git-lfs once; what arrives is verified meanwhile. Raises Failed or Interrupted with the reason."""
        self._check_space(missing)
        output = LfsOutput()
        with subprocess.Popen(
            ["git-lfs", "fetch", "origin", self.repository.commit_of(missing)],
            env={**self.repository.environment, **TRACE},
            cwd=self.download.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            reader = threading.Thread(target=output.read, args=(process.stdout,), daemon=True)
            reader.start()
            try:
                while is_running(process) and not output.endless:
                    lease.check()
                    self.verifier.start(files)
            finally:
                process.terminate()
                reader.join()
        if missing := self.store.missing(missing):
            raise self._explain(output.words, missing)

    def _explain(self, words: str, missing: Sequence[ModelFile]) -> Failed | Interrupted:
        absent = set(ABSENT.findall(words))
        if all(file.sha256 in absent for file in missing):
            names = ", ".join(file.path for file in missing[:NAMES_IN_A_MESSAGE])
            names += " …" if len(missing) > NAMES_IN_A_MESSAGE else ""
            return Failed(
                f"The server of {self.download.repository} lacks {len(missing)} of the model's files ({names}): "
                "they were never uploaded (git lfs push --all), or deepseek:model.revision should be another commit."
            )
        self.store.discard_pages(OTHER_CONTENT.findall(words))
        return self.repository.explain(words)

    def _check_space(self, missing: Sequence[ModelFile]) -> None:
        space = os.statvfs(self.download.directory)
        free = space.f_bavail * space.f_frsize
        needed = sum(file.size for file in missing) - self.store.received(missing)
        if needed > free:
            raise Failed(
                f"{binary(needed)} are still to come and the volume has {binary(free)} free: enlarge "
                f"deepseek:storage.size by at least {binary(needed - free)}, or remove what else is on it. "
                "The next run goes on where this one ended."
            )


def is_running(process: subprocess.Popen[str]) -> bool:
    """Wait a moment for the end of a process."""
    try:
        process.wait(POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False
