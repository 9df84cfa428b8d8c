"""Tries what the download will do on the volume. That this program runs at all shows that the claim is mounted.

    python3 -m mount

It does in a folder of its own, which it removes, what git and the object store do. The reason of a failure names the
operation. Environment: VOLUME, where the claim is mounted. Which claim cannot be mounted, and why, claim.py tells.
"""

import errno
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import failure
from failure import Failed, binary
from filesystem import mounted_at
from inventory import sync
from repetition import repeated
from words import readable, telling_line

log = logging.getLogger(__name__)

Result = TypeVar("Result")
CONTENT, LONGER = b"weights\n", b"other weights\n"


class Full(Exception):
    """The volume has no space to try more."""


def main() -> int:
    """Return the exit code; the reason of a failure is in the log and in the termination message."""
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO, stream=sys.stdout)
    volume = Path(os.environ["VOLUME"])
    try:
        check(volume)
    except Failed as reason:
        log.critical("%s", reason)
        failure.write_termination_message(str(reason))
        return 1
    space = os.statvfs(volume)
    total, free = space.f_blocks * space.f_frsize, space.f_bavail * space.f_frsize
    log.info("%s is mounted and writable, and does what is needed: %s free of %s", volume, binary(free), binary(total))
    return 0


def check(volume: Path) -> None:
    """Try every operation. Raises Failed; a full volume is fine, for the weights may be on it already."""
    try:
        folder = tried(volume, MAKE_FOLDER, partial(make_folder, volume))
        try:
            for name, operation in OPERATIONS:
                tried(volume, name, partial(operation, folder))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except Full as error:
        log.info("%s", error)


def tried(volume: Path, name: str, operation: Callable[[], Result]) -> Result:
    """Return what an operation returns. Raises Failed when the volume cannot do it, and Full."""
    try:
        return repeated(operation)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Full(f"The volume is full: what comes after {name!r} could not be tried") from error
        raise refused(name, error, volume) from error


def refused(operation: str, error: OSError, volume: Path) -> Failed:
    """Return the failure of a volume on which one operation does not work."""
    if error.errno == errno.EROFS:
        return failure.read_only(volume, f"{operation}: {error}")
    if operation == MAKE_FOLDER and error.errno in (errno.EACCES, errno.EPERM):
        return failure.forbidden(volume, f"{operation}: {error}")
    mount = mounted_at(volume)
    return Failed(
        f"The volume at {volume} ({mount}) cannot hold the weights, because this fails there: {operation} ({error}). "
        f"Git and the download need it: {mount.advice}."
    )


def make_folder(volume: Path) -> Path:
    """Make the folder in which everything else is tried."""
    return Path(tempfile.mkdtemp(dir=volume, prefix=".mount-check-"))


def make_folders_below(folder: Path) -> None:
    """Make folders in the folder."""
    (folder / "model" / "main").mkdir(parents=True, exist_ok=True)


def change_folder_mode(folder: Path) -> None:
    """Let a folder's group write to it, and own what is made in it."""
    folder.chmod(0o2775)


def create_exclusively(folder: Path) -> None:
    """Create a file that must not exist, and see that it cannot be created a second time: leases are made of this."""
    path = folder / "lease"
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o664))
    try:
        second = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o664)
    except FileExistsError:
        return
    os.close(second)
    raise OSError(errno.EINVAL, "a second exclusive create of the same file was not refused")


def write_and_sync_file(folder: Path) -> None:
    """Write a file, then other bytes over the first ones in place, and see each to the disk."""
    descriptor = os.open(folder / "new", os.O_CREAT | os.O_RDWR, 0o664)
    try:
        for content in (CONTENT, LONGER):
            os.pwrite(descriptor, content, 0)
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    _expect(folder / "new", LONGER)


def change_file_mode(folder: Path) -> None:
    """Let everybody read a file, and give it a mode that it did not have."""
    for mode in (0o600, 0o644):
        (folder / "new").chmod(mode)


def rename_over(folder: Path) -> None:
    """Let a file take the name of another one."""
    (folder / "old").write_bytes(CONTENT)
    if not (folder / "new").exists():  # renamed by an attempt whose answer was lost
        (folder / "new").write_bytes(LONGER)
    (folder / "new").replace(folder / "old")
    _expect(folder / "old", LONGER)


def link_or_move(folder: Path) -> None:
    """Give a file a second name, or move it where the file system has no hard links: the object store does so too."""
    source, target = folder / "old", folder / "model" / "main" / "file"
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError as error:
        log.info("No hard links here (%s): large files are moved to their places", error)
        source.replace(target)
    _expect(target, LONGER)


def remove(folder: Path) -> None:
    """Remove a file and a folder."""
    shutil.rmtree(folder / "model")


def init_repository(folder: Path) -> None:
    """Let git itself make a repository, with all that it asks of a file system on the way."""
    done = subprocess.run(["git", "init", "--quiet", folder / "repository"], capture_output=True, check=False)
    if done.returncode:
        words = readable(done.stderr.decode(errors="replace"))
        number = errno.ENOSPC if "No space left" in words else errno.EPERM
        raise OSError(number, telling_line(words))


def _expect(path: Path, content: bytes) -> None:
    found = path.read_bytes()
    if found != content:
        raise OSError(errno.EIO, f"{path.name} holds {found!r} where {content!r} was written")


MAKE_FOLDER = "mkdir in the volume's folder"
OPERATIONS: tuple[tuple[str, Callable[[Path], object]], ...] = (
    ("mkdir", make_folders_below),
    ("chmod of a folder", change_folder_mode),
    ("exclusive create (O_CREAT with O_EXCL)", create_exclusively),
    ("write and fsync of a file", write_and_sync_file),
    ("chmod of a file", change_file_mode),
    ("rename over another file", rename_over),
    ("fsync of a folder", sync),
    ("hard link, or rename in its place", link_or_move),
    ("remove", remove),
    ("git init", init_repository),
)
"""What is tried, in this order, under the name that a failure tells."""


if __name__ == "__main__":
    sys.exit(main())
