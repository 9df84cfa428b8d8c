"""One at a time, over the pods of one Job, of two Jobs, and over nodes: a file that its holder keeps writing to.

File locks are not used, because network file systems have them only sometimes. No clocks are compared either: whoever
waits watches whether the content changes. A holder that was killed is recognised at once by the pod that comes in its
place, and otherwise by STALE_SECONDS without a beat. There can be two holders when one was suspended for longer than
that: the work under a lease is such that this costs time and no correctness, because files appear by renames and only
with the right digest.

A network file system that answers with an error for a while ends nothing: a beat that fails is made up for by the next,
a lease that cannot be read is not lost, and one that cannot be given back is left to those who wait for it.
"""

import contextlib
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from failure import Failed
from repetition import repeated

log = logging.getLogger(__name__)

BEAT_SECONDS = 3.0
STALE_SECONDS = 30.0
POLL_SECONDS = 0.5


@contextmanager
def hold(path: Path) -> Generator["Lease"]:
    """Wait for the lease, hold it, and give it back."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lease = Lease(path)
    if not lease.take():
        lease.wait()
    try:
        yield lease
    finally:
        lease.release()


class Lease:
    """The file, and whether it is this process that writes to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.owner = f"{place()} {os.getpid()} {started(os.getpid())} {secrets.token_hex(8)}"
        self._descriptor = -1
        self._lost, self._released = threading.Event(), threading.Event()
        self._beating = threading.Thread(target=self._beat, daemon=True)

    def check(self) -> None:
        """Raise Failed when somebody else took the lease, because this process had stopped for too long."""
        if self._lost.is_set():
            raise Failed(f"Another pod took {self.path} over while this one was suspended, and goes on in its place.")

    def take(self) -> bool:
        """Take the lease if nobody holds it; whether it was taken."""
        try:
            self._descriptor = repeated(lambda: os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o664))
        except FileExistsError:
            return False
        try:
            repeated(lambda: self._write(0))
        except OSError:
            self._close()
            raise
        self._beating.start()
        return True

    def wait(self) -> None:
        """Take the lease as soon as it is free, or its holder gives no more signs of life."""
        seen, since = self._content() or "", time.monotonic()
        if not is_dead(seen):
            log.info("Waiting for %s, which another pod holds", self.path.name)
        while not self.take():
            content = self._content()
            if content is not None and content != seen:
                seen, since = content, time.monotonic()
            if is_dead(seen) or time.monotonic() - since > STALE_SECONDS:
                repeated(lambda: self.path.unlink(missing_ok=True))
            else:
                time.sleep(POLL_SECONDS)

    def release(self) -> None:
        """Let the next one have it. What was done under the lease is done, so an error of the volume is only logged."""
        self._released.set()
        self._beating.join()
        self._close()

    def _close(self) -> None:
        try:
            os.close(self._descriptor)
        except OSError as error:
            log.warning("%s: %s", self.path, error)
        try:
            if repeated(self.path.read_text).startswith(self.owner):
                repeated(lambda: self.path.unlink(missing_ok=True))
        except FileNotFoundError:
            return
        except OSError as error:
            log.warning("%s is left, which costs the next pod %.0f s: %s", self.path, STALE_SECONDS, error)

    def _write(self, beat: int) -> None:
        os.pwrite(self._descriptor, f"{self.owner} {beat}\n".encode(), 0)
        os.fsync(self._descriptor)

    def _beat(self) -> None:
        beat = 0
        while not self._released.wait(BEAT_SECONDS):
            beat += 1
            try:
                self._write(beat)
            except OSError as error:  # a volume that is full now may have space again before anybody else asks
                log.warning("%s: %s", self.path, error)
                self._open_again()
            content = self._content()
            if content is not None and not content.startswith(self.owner):
                self._lost.set()
                return

    def _open_again(self) -> None:
        """Replace a descriptor that has gone stale, if the file is still this process's."""
        try:
            fresh = os.open(self.path, os.O_RDWR)
        except OSError:
            return
        try:
            is_mine = os.pread(fresh, len(self.owner), 0) == self.owner.encode()
        except OSError:
            is_mine = False
        stale = fresh
        if is_mine:
            stale, self._descriptor = self._descriptor, fresh
        with contextlib.suppress(OSError):
            os.close(stale)

    def _content(self) -> str | None:
        """Return what the file holds, nothing where there is none, and None where that cannot be found out now."""
        try:
            return self.path.read_text()
        except FileNotFoundError:
            return ""
        except OSError as error:
            log.warning("%s: %s", self.path, error)
            return None


def is_dead(content: str) -> bool:
    """Whether the lease was written by a process of this place that is gone."""
    match content.split():
        case [where, process, start, *_]:
            return where == place() and started(int(process)) != start
        case _:
            return False


def place() -> str:
    """Return an identity that successive pods of one Job index share.

    The name of the host alone is not enough: an equal Job of another stack, or of another cluster, gives it to its pods
    too, and both may mount one shared file system.
    """
    return f"{os.environ.get('JOB_UID', '')}/{socket.gethostname()}"


def started(process: int) -> str:
    """Return when a process was started, in clock ticks since boot; empty when there is none. See proc(5), stat."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return ""
