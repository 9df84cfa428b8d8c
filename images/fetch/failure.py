"""Why a download ended: a sentence that says what was found and what to do, read off the words of git and git-lfs."""

import errno
import logging
import os
import re
from pathlib import Path

log = logging.getLogger(__name__)

TERMINATION_LOG_BYTES = 4096
"""What the kubelet keeps of a termination message."""


class Failed(Exception):
    """The download cannot go on by itself; the text tells a person why and what to do."""


class Interrupted(Exception):
    """Something that may pass by itself, such as a busy server: worth another attempt."""


REFUSED = re.compile(
    r"Authentication failed|could not read (?:Username|Password)|returned error: 40[13]"
    r"|(?:Authentication required|Authorization error|HTTP 40[13])[^\n]*/objects/batch"
)
NOT_FOUND = re.compile(
    r"repository '[^']*' not found|returned error: 404|Repository or object not found[^\n]*/objects/batch"
)
FULL = re.compile(r"[Nn]o space left on device|[Dd]isk quota exceeded")
FORBIDDEN = re.compile(r"[Pp]ermission denied|[Rr]ead-only file system")


def explain(words: str, repository: str, volume: Path, *, token: bool) -> Failed | Interrupted:
    """Return what `words`, the output of git or git-lfs, mean for the person who started the download."""
    if REFUSED.search(words):
        found = "refused the token of deepseek:modelToken" if token else "asks for a token, and none is configured"
        return Failed(
            f"{repository} {found}: set one that may read this repository (pulumi config set --secret "
            "deepseek:modelToken …); for a gated model its owner must have accepted the terms. "
            f"The last words: {last_words(words)}"
        )
    if NOT_FOUND.search(words):
        hint = "" if token else " Hosts hide private repositories in this way: if it is one, set deepseek:modelToken."
        return Failed(f"There is no repository at {repository}: correct deepseek:model.repository.{hint}")
    if FULL.search(words):
        return full(volume)
    if FORBIDDEN.search(words):
        return forbidden(volume, last_words(words))
    return Interrupted(last_words(words))


def of_the_volume(error: OSError, volume: Path) -> Failed:
    """Return the failure behind an operation on the volume that the system refused."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return full(volume)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return forbidden(volume, str(error))
    return Failed(
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
        "for that user or group. Where fsGroup has no effect (NFS), set owner or mode of the export."
    )


def last_words(words: str, lines: int = 3) -> str:
    """Return the last lines that say something, as one."""
    return " / ".join([line.strip() for line in words.splitlines() if line.strip()][-lines:]) or "(nothing)"


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
