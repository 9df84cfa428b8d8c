"""The tokens of the last minute by key name, in files that all API processes of vLLM on the head share.

They begin anew with the head's pod: a limit per minute needs no longer memory.
"""

import fcntl
import os
import struct
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

SECONDS = 60
_SLOT = struct.Struct("<QQ")
"""The second that a slot is of, and its tokens."""


class TokenMinute:
    """Sums up tokens over a sliding minute, a slot a second. The file of a name has 960 bytes."""

    def __init__(self, folder: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder or Path(tempfile.gettempdir(), "key-tokens")
        self._folder.mkdir(exist_ok=True, mode=0o700)
        self._clock = clock

    def add(self, name: str, tokens: int) -> None:
        """Count tokens that were taken just now."""
        now = int(self._clock())
        place = now % SECONDS * _SLOT.size
        with self._locked(name) as file:
            second, counted = _SLOT.unpack(os.pread(file, _SLOT.size, place).ljust(_SLOT.size, b"\0"))
            os.pwrite(file, _SLOT.pack(now, tokens + (counted if second == now else 0)), place)

    def seconds_until_below(self, name: str, limit: int) -> int:
        """Return after how many seconds the minute has fewer than `limit` tokens; 0 if it has now."""
        now = int(self._clock())
        with self._locked(name) as file:
            slots = os.pread(file, SECONDS * _SLOT.size, 0)
        whole = slots[: len(slots) - len(slots) % _SLOT.size]
        recent = sorted((second, tokens) for second, tokens in _SLOT.iter_unpack(whole) if second > now - SECONDS)
        left = sum(tokens for _, tokens in recent)
        seconds = 0
        for second, tokens in recent:
            if left < limit:
                break
            left -= tokens
            seconds = second + SECONDS - now
        return seconds

    @contextmanager
    def _locked(self, name: str) -> Generator[int]:
        """Open the file of a name for this process alone, for the microseconds that it takes."""
        file = os.open(self._folder / name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)
