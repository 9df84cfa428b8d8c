"""A rank reads the files of a checkpoint into the page cache before vLLM's loader comes to them.

vLLM 0.32's default loader maps files and touches one tensor after the other, so that it waits for the storage, works,
and waits again. It can read ahead (`--safetensors-load-strategy=prefetch`), but does so unasked on NFS and Lustre only,
and not where the files exceed 90 % of the pod's memory. It also divides the files among all ranks of the engine, though
those on other nodes have another page cache: of four stages on four nodes each reads a quarter of its files so.

Here the ranks of one tensor parallel group divide the blocks of their stage's files, and none is further ahead of the
loader than AHEAD_BYTES, or half of the free memory. A group that spans nodes reads only a part ahead on each of them.

Source: vLLM 0.32, model_executor/model_loader/weight_utils.py.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch

BLOCK_BYTES = 16 << 20
THREADS = 8
"""Of a rank. Both are what vLLM's own way to read ahead has."""

LENGTH_BYTES, LONGEST_HEADER = 8, 100_000_000
"""As safetensors has them."""

AHEAD_BYTES = 8 << 30
"""At most, beyond the tensors that the loader has taken."""

logger = logging.getLogger("vllm.stage_weights")


class Place(NamedTuple):
    """Where a tensor begins."""

    number: int
    """Of its file."""

    begin: int
    """In bytes from the beginning of the first file."""


class Block(NamedTuple):
    """A piece of one file."""

    number: int
    offset: int
    begin: int
    """As of a place."""


class ReadAhead:
    """Threads that read a rank's share of the files, in the order of the files, at most `ahead` bytes of them ahead."""

    def __init__(self, files: Sequence[str], rank: int, ranks: int, ahead: int) -> None:
        """Begin to read. Raises OSError where a file cannot be looked at."""
        self._files, self._ahead = files, ahead
        blocks = [
            Block(number, offset, begin + offset)
            for number, (begin, end) in enumerate(pairwise(_begins(files)))
            for offset in range(0, end - begin, BLOCK_BYTES)
        ]
        self._left = iter(blocks[rank::ranks])
        self._reached, self._ended = Place(0, 0), False
        self._moved = threading.Condition()
        for _ in range(THREADS):
            threading.Thread(target=self._read, name="read-ahead", daemon=True).start()

    def reached(self, place: Place) -> None:
        """Let them read on from what the loader takes now. Within a file it may come to tensors in any order."""
        if place > self._reached:
            with self._moved:
                self._reached = place
                self._moved.notify_all()

    def end(self) -> None:
        """Let the threads end, each after its block."""
        with self._moved:
            self._ended = True
            self._moved.notify_all()

    def _next(self) -> Block | None:
        """Return the next block of a file that the loader has not passed, once it is near enough."""
        with self._moved:
            block = next((block for block in self._left if block.number >= self._reached.number), None)
            if block:
                self._moved.wait_for(lambda: self._ended or block.begin < self._reached.begin + self._ahead)
            return None if self._ended else block

    def _read(self) -> None:
        buffer = bytearray(BLOCK_BYTES)
        try:
            while block := self._next():
                with Path(self._files[block.number]).open("rb", buffering=0) as file:
                    os.preadv(file.fileno(), [buffer], block.offset)
        except OSError as error:
            self.end()
            logger.warning("stage-weights: reading ahead ended, and the loader reads alone: %s", error)


def read_ahead(
    files: Sequence[str], tensors: Iterator[tuple[str, torch.Tensor]], rank: int, ranks: int, free_memory: int
) -> Iterator[tuple[str, torch.Tensor]]:
    """Return the tensors of the files as the loader takes them out, while the files are read ahead of it.

    `files` are in the order in which they are loaded; `rank` of `ranks` reads its share; `free_memory` is in bytes.
    """
    try:
        place_of: dict[str, Place] = {}
        for name, place in _places(files):
            place_of.setdefault(name, place)
        reading = ReadAhead(files, rank, ranks, min(AHEAD_BYTES, free_memory // 2))
    except Exception as error:  # noqa: BLE001 - of a file that is none, the loader says more
        logger.warning("stage-weights: nothing is read ahead: %s", error)
        yield from tensors
        return
    try:
        for name, tensor in tensors:
            reading.reached(place_of[name])
            yield name, tensor
    finally:
        reading.end()


def _begins(files: Sequence[str]) -> list[int]:
    """Return where each file begins, and where the last one ends."""
    return list(accumulate((Path(file).stat().st_size for file in files), initial=0))


def _places(files: Sequence[str]) -> Iterator[tuple[str, Place]]:
    """Yield where the tensors begin. The format: 8 bytes of length, a JSON object by name, the tensors' bytes."""
    for number, (file, begin) in enumerate(zip(files, _begins(files), strict=False)):
        with Path(file).open("rb") as stream:
            length = int.from_bytes(stream.read(LENGTH_BYTES), "little")
            header = json.loads(stream.read(min(length, LONGEST_HEADER)))
        for name, tensor in header.items():
            if name != "__metadata__":
                yield name, Place(number, begin + LENGTH_BYTES + length + tensor["data_offsets"][0])
