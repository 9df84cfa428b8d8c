"""Why a download ended: a sentence that says what was found and what to do."""

import errno
import logging
import os
from pathlib import Path

from filesystem import mounted_at

log = logging.getLogger(__name__)

TERMINATION_LOG_BYTES = 4096
"""What the kubelet keeps of a termination message."""


class Failed(Exception):
    """The download cannot go on before a person changes something; the text tells why and what to do."""


class MayPass(Failed):
    """This process gives up; another pod, later or on another node, may go on."""


class Interrupted(Exception):
    """Worth another attempt, such as a busy server. `lasting`: it will hardly pass, so only for some minutes."""

    def __init__(self, text: str, *, lasting: bool = False) -> None:
        super().__init__(text)
        self.lasting = lasting


def of_the_volume(error: OSError, volume: Path) -> Failed:
    """Return the failure behind an operation on the volume that the system refused."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return full(volume)
    if error.errno == errno.EROFS:
        return read_only(volume, str(error))
    if error.errno == errno.EACCES:
        return forbidden(volume, str(error))
    if error.errno in (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP):
        return unsupported(volume, str(error))
    return MayPass(
        f"The volume at {volume} does not work: {error}. Look at the claim and the storage behind it, then start again."
    )


def full(volume: Path) -> Failed:
    """Return the failure of a volume without space."""
    space = os.statvfs(volume)
    total, free = space.f_blocks * space.f_frsize, space.f_bavail * space.f_frsize
    return Failed(
        f"The volume is full ({binary(free)} free of {binary(total)}): enlarge deepseek:storage.size or remove what "
        "else is on it. The next run goes on where this one ended."
    )


def forbidden(volume: Path, words: str) -> Failed:
    """Return the failure of a volume that this user may not write to."""
    return Failed(
        f"The volume at {volume} refuses uid {os.geteuid()}, gid {os.getegid()} ({words}): its folder must be writable "
        f"for that user or group. It is {mounted_at(volume)}: {mounted_at(volume).advice}."
    )


def read_only(volume: Path, words: str) -> Failed:
    """Return the failure of a volume that nobody may write to."""
    return Failed(
        f"The volume at {volume} is read-only ({words}): make it writable. Look at readOnly and mountOptions of its "
        "PersistentVolume or StorageClass, and at the events of its node: a disk with errors is mounted anew without "
        f"writing. It is {mounted_at(volume)}."
    )


def unsupported(volume: Path, words: str) -> Failed:
    """Return the failure of a file system that does not know an operation which the download needs."""
    mount = mounted_at(volume)
    return Failed(
        f"The file system at {volume} ({mount}) does not do what git and the download need ({words}): {mount.advice}."
    )


def binary(count: float) -> str:
    """Return a number of bytes as people read it: 1288490188 is 1.2 GiB."""
    for unit, size in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.2f} TiB" if unit == "TiB" else f"{count / size:.1f} {unit}"
    return f"{count:.0f} B"


def write_termination_message(text: str) -> None:
    """Leave the reason where the kubelet, `kubectl describe` and `pulumi up` find it."""
    path = os.environ.get("TERMINATION_LOG", "/dev/termination-log")
    try:
        Path(path).write_bytes(text.encode()[:TERMINATION_LOG_BYTES])
    except OSError as error:
        log.warning("No termination message: %s", error)
