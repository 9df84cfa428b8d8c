"""Reads the API key from the file that its Secret is mounted as. Who checks the key and who sends it read it here.

A file that holds no proper key is as good as none. This matters while the file changes: a key of which only the first
characters are written opens nothing, unless they are as many as a key needs, and then they are as hard to guess.
"""

import os
import re
import stat
from pathlib import Path

LEAST_CHARACTERS = 16
MOST_CHARACTERS = 1024
_KEY = re.compile(rb"[!-~]{%d,%d}" % (LEAST_CHARACTERS, MOST_CHARACTERS))
_ROOM_FOR_SPACES = 64


def read_key(file: str | Path) -> bytes:
    """Return the key in the file, or nothing if the file holds no key or cannot be read."""
    for _ in range(2):
        try:
            key = _read(file).strip()
        except FileNotFoundError:
            # The kubelet renews a Secret by pointing a link to another folder. Who opens it just then misses both.
            continue
        except (OSError, ValueError):
            break
        return key if _KEY.fullmatch(key) else b""
    return b""


def _read(file: str | Path) -> bytes:
    # Without O_NONBLOCK a named pipe would hold up the server until somebody writes into it.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        content = os.read(descriptor, MOST_CHARACTERS + _ROOM_FOR_SPACES + 1)
        return content if len(content) <= MOST_CHARACTERS + _ROOM_FOR_SPACES else b""
    finally:
        os.close(descriptor)
