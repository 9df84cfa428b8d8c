"""The header of a safetensors file: names, types and shapes of its tensors.

A file is 8 bytes with the length of the header (little-endian), the header as JSON, and the tensors without a gap
between them. Source: the format's page in the repository huggingface/safetensors.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from planning.headers.faults import BadRepository
from planning.headers.sources import Source, parsed_object

LENGTH = 8
"""Bytes before the header."""
LONGEST = 100_000_000
"""Bytes of a header; the format's own reader takes no longer one."""
POINTER = b"version "
"""With which a pointer of Git LFS begins."""
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F16": 16, "BF16": 16,
    "F32": 32, "F64": 64, "C64": 64,
}  # fmt: skip
"""Of one element, by the type's name."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file."""

    name: str
    type: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """How many."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """In the file."""
        return self.elements * BITS[self.type] // 8


def read_tensors(source: Source, file: str) -> list[Tensor]:
    """Return the tensors of one file, from its header alone. Raises BadRepository."""
    size = source.size(file)
    if size < LENGTH:
        raise BadRepository(file, "length", f"{size} bytes", "a whole safetensors file")
    start = source.read(file, 0, LENGTH)
    if start == POINTER:
        raise BadRepository(file, "length", "a pointer of Git LFS", "the file itself, as `git lfs pull` brings it")
    length = int.from_bytes(start, "little")
    if not 2 <= length <= min(LONGEST, size - LENGTH):
        most = f"2 to {min(LONGEST, size - LENGTH):,} in a file of {size:,} bytes"
        raise BadRepository(file, "length of the header", f"{length:,} bytes", most)
    header = parsed_object(file, source.read(file, LENGTH, length), "header", "an object of tensors")
    header.pop("__metadata__", None)
    return _checked(file, header, size - LENGTH - length)


def _checked(file: str, header: Mapping[str, Any], room: int) -> list[Tensor]:
    """The tensors, if they fill the rest of the file, `room` bytes, without a gap."""
    placed: list[tuple[int, int, Tensor]] = []
    for name, entry in header.items():
        tensor = _tensor(file, name, entry)
        offsets = _numbers(entry.get("data_offsets"))
        if offsets is None or len(offsets) != 2 or offsets[1] - offsets[0] != tensor.bytes:
            what = f"{tensor.bytes:,} bytes, as {tensor.type} {list(tensor.shape)} takes"
            raise BadRepository(file, f"{name}.data_offsets", f"{entry.get('data_offsets')}", what)
        placed.append((offsets[0], offsets[1], tensor))
    end = 0
    for begin, after, tensor in sorted(placed, key=lambda item: item[:2]):
        if begin != end:
            raise BadRepository(file, f"{tensor.name}.data_offsets", f"begins at {begin:,}", f"{end:,}, without a gap")
        end = after
    if end != room:
        cut = "the file is cut" if end > room else "more follows than the header names"
        raise BadRepository(file, "length", f"{room:,} bytes of tensors: {cut}", f"{end:,}")
    return [tensor for _, _, tensor in placed]


def _tensor(file: str, name: str, entry: object) -> Tensor:
    if not isinstance(entry, dict):
        raise BadRepository(file, name, "no object", "dtype, shape and data_offsets")
    fields = cast("dict[str, Any]", entry)
    kind, shape = fields.get("dtype"), _numbers(fields.get("shape"))
    if not isinstance(kind, str) or kind not in BITS:
        raise BadRepository(file, f"{name}.dtype", f"{kind!r}", f"one of {', '.join(BITS)}")
    if shape is None:
        raise BadRepository(file, f"{name}.shape", f"{fields.get('shape')!r}", "a list of whole numbers")
    return Tensor(name, kind, tuple(shape))


def _numbers(value: object) -> list[int] | None:
    if not isinstance(value, list):
        return None
    written = cast("list[object]", value)
    numbers = [number for number in written if type(number) is int and number >= 0]
    return numbers if len(numbers) == len(written) else None
