"""What the header of a safetensors file says: how long the file is, and how large its tensors are.

Format: eight bytes of length, little-endian, a JSON header, then the tensors (huggingface/safetensors, README).
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

LENGTH_BYTES = 8
MOST_HEADER_BYTES = 100_000_000
"""The library takes no longer header."""


class BadHeader(Exception):
    """A file that does not begin with a header of safetensors."""


def length_of(path: Path) -> int:
    """Return how many bytes the file has to have; 0 where its header cannot be read."""
    try:
        size, tensors = _read(path)
    except BadHeader:
        return 0
    return LENGTH_BYTES + size + max((tensor["data_offsets"][1] for tensor in tensors), default=0)


def bytes_by_type(path: Path) -> Counter[str]:
    """Return the bytes of its tensors by their type, such as BF16. Raises BadHeader."""
    found: Counter[str] = Counter()
    for tensor in _read(path)[1]:
        begin, end = tensor["data_offsets"]
        found[tensor.get("dtype", "unknown")] += end - begin
    return found


def _read(path: Path) -> tuple[int, list[dict[str, Any]]]:
    """Return the length of the header in bytes, and its tensors, each with two offsets. Raises BadHeader."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(LENGTH_BYTES), "little")
        if size > MOST_HEADER_BYTES:
            raise BadHeader(f"a header of {size} bytes, and {MOST_HEADER_BYTES} are the most")
        try:
            header = json.loads(file.read(size))
            tensors = [tensor for name, tensor in header.items() if name != "__metadata__"]
            whole = all(isinstance(end, int) for tensor in tensors for end in tensor["data_offsets"])
            if not whole or any(len(tensor["data_offsets"]) != 2 for tensor in tensors):
                raise BadHeader("offsets of a tensor that are not two numbers")
        except (ValueError, KeyError, TypeError, AttributeError):
            raise BadHeader("no header of safetensors") from None
    return size, tensors
