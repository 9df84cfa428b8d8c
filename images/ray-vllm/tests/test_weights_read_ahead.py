"""What a rank reads of a checkpoint before vLLM's loader comes to it."""

import importlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from safetensors_file import Tensor, write_safetensors

PLUGIN = Path(__file__).parents[1] / "stage-weights"
BLOCK = 1024
NAMES = tuple(f"model.layers.{number}.mlp.gate.weight" for number in range(4))
PATIENCE_SECONDS = 10
PLENTY = 1 << 40


class Checkpoint:
    """Four files of one size and one tensor each, and which of their blocks somebody has read."""

    def __init__(self, folder: Path) -> None:
        self.files = [str(folder / f"model-{number}.safetensors") for number in range(len(NAMES))]
        for file, name in zip(self.files, NAMES, strict=True):
            write_safetensors(Path(file), [Tensor(name, "BF16", (2000,), bytearray(4000))])
        self.read: set[tuple[str, int]] = set()
        self._preadv = os.preadv

    def preadv(self, file: int, buffers: Any, offset: int) -> int:
        """As os.preadv, noted."""
        self.read.add((str(Path(f"/proc/self/fd/{file}").readlink()), offset))
        return self._preadv(file, buffers, offset)

    def blocks(self, *numbers: int) -> set[tuple[str, int]]:
        """All blocks of some of the files."""
        names = [self.files[number] for number in numbers]
        return {(name, offset) for name in names for offset in range(0, Path(name).stat().st_size, BLOCK)}

    def begins(self) -> list[int]:
        """Where the files begin, and the last one ends, in bytes from the beginning of the first."""
        return list(accumulate((Path(file).stat().st_size for file in self.files), initial=0))

    def loaded(self) -> Iterator[tuple[str, Any]]:
        """Yield the tensors as vLLM's loader takes them out."""
        yield from ((name, None) for name in NAMES)


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "path", [str(PLUGIN), *sys.path])
    module = importlib.import_module("weights_read_ahead")
    monkeypatch.setattr(module, "BLOCK_BYTES", BLOCK)
    return module


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkpoint:
    made = Checkpoint(tmp_path)
    monkeypatch.setattr(os, "preadv", made.preadv)
    return made


def becomes(wanted: Callable[[], bool]) -> bool:
    """Return whether something is so within the patience."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not wanted() and time.monotonic() < end:
        time.sleep(0.01)
    return wanted()


def test_all_blocks_are_read_before_the_loader_comes_to_them(plugin: Any, checkpoint: Checkpoint) -> None:
    tensors = plugin.read_ahead(checkpoint.files, checkpoint.loaded(), 0, 1, PLENTY)
    assert next(tensors)[0] == NAMES[0]
    assert becomes(lambda: checkpoint.read == checkpoint.blocks(0, 1, 2, 3))
    assert [name for name, _ in tensors] == list(NAMES[1:])


def test_ranks_divide_the_blocks(plugin: Any, checkpoint: Checkpoint) -> None:
    read: list[set[tuple[str, int]]] = []
    for rank in range(2):
        checkpoint.read = set()
        reading = plugin.ReadAhead(checkpoint.files, rank, 2, PLENTY)
        assert becomes(lambda: len(checkpoint.read) == len(checkpoint.blocks(0, 1, 2, 3)) / 2)
        reading.end()
        read.append(checkpoint.read)
    assert read[0] | read[1] == checkpoint.blocks(0, 1, 2, 3)
    assert not read[0] & read[1]


def test_they_wait_for_the_loader(plugin: Any, checkpoint: Checkpoint) -> None:
    two_files = checkpoint.begins()[2]
    reading = plugin.ReadAhead(checkpoint.files, 0, 1, two_files)
    assert becomes(lambda: checkpoint.read == checkpoint.blocks(0, 1))
    time.sleep(0.2)
    assert checkpoint.read == checkpoint.blocks(0, 1)
    reading.reached(plugin.Place(0, BLOCK))
    assert becomes(lambda: len(checkpoint.read) == len(checkpoint.blocks(0, 1)) + 1)
    reading.reached(plugin.Place(0, 100))
    reading.reached(plugin.Place(1, checkpoint.begins()[1]))
    assert becomes(lambda: checkpoint.read == checkpoint.blocks(0, 1, 2))
    reading.end()


def test_they_take_no_more_than_half_of_the_free_memory(plugin: Any, checkpoint: Checkpoint) -> None:
    tensors = plugin.read_ahead(checkpoint.files, checkpoint.loaded(), 0, 1, 2 * BLOCK)
    next(tensors)
    assert becomes(lambda: len(checkpoint.read) == 2), "the first tensor begins after the header, in the first block"
    time.sleep(0.2)
    assert len(checkpoint.read) == 2
    tensors.close()


def test_what_the_loader_has_passed_is_not_read(
    plugin: Any, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin, "THREADS", 1)
    reading = plugin.ReadAhead(checkpoint.files, 0, 1, BLOCK)
    assert becomes(lambda: len(checkpoint.read) == 1)
    reading.reached(plugin.Place(3, checkpoint.begins()[4]))
    assert becomes(lambda: checkpoint.blocks(3) <= checkpoint.read)
    assert not checkpoint.read & checkpoint.blocks(2)
    reading.end()


def test_its_threads_end_with_the_loading(plugin: Any, checkpoint: Checkpoint) -> None:
    tensors = plugin.read_ahead(checkpoint.files, checkpoint.loaded(), 0, 1, 0)
    next(tensors)
    tensors.close()
    assert becomes(lambda: not [thread for thread in threading.enumerate() if thread.name == "read-ahead"])


@pytest.mark.parametrize(
    "content", [b"", b"\xff\0\0\0\0\0\0\0{", b"version https://git-lfs", b"\x02" + b"\0" * 7 + b"[]"]
)
def test_a_file_that_is_none_is_left_to_the_loader(
    plugin: Any, checkpoint: Checkpoint, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    Path(checkpoint.files[2]).write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert [name for name, _ in plugin.read_ahead(checkpoint.files, checkpoint.loaded(), 0, 1, PLENTY)] == list(
            NAMES
        )
    assert "nothing is read ahead" in caplog.text


def test_a_file_that_cannot_be_read_stops_no_loading(
    plugin: Any, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: Any) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "preadv", refused)
    with caplog.at_level(logging.WARNING):
        tensors = plugin.read_ahead(checkpoint.files, checkpoint.loaded(), 0, 1, PLENTY)
        next(tensors)
        assert becomes(lambda: "the loader reads alone: [Errno 5]" in caplog.text)
        assert becomes(lambda: not [thread for thread in threading.enumerate() if thread.name == "read-ahead"])
    assert len(list(tensors)) == len(NAMES) - 1
