"""The safetensors format: 8 bytes of header length, a JSON header, and the tensors' bytes one after the other."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Tensor:
    """A named array."""

    name: str
    dtype: str
    """As the format spells it: BF16, F32, …"""
    shape: tuple[int, ...]
    data: bytearray | memoryview
    """Little-endian, row-major."""


def write_safetensors(path: Path, tensors: Sequence[Tensor]) -> None:
    """Write a file of these tensors, in this order."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for tensor in tensors:
        end = offset + len(tensor.data)
        header[tensor.name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.writelines(tensor.data for tensor in tensors)
