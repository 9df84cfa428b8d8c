"""How long a safetensors file is, by its own header: a copy that was cut off is found without its digest.

Format: eight bytes of length, little-endian, a JSON header, then the tensors (huggingface/safetensors, README).
"""

import json
from pathlib import Path

LENGTH_BYTES = 8
MOST_HEADER_BYTES = 100_000_000
"""The library takes no longer header."""


def length_of(path: Path) -> int:
    """Return how many bytes the file has to have; 0 where its header cannot be read."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(LENGTH_BYTES), "little")
        if size > MOST_HEADER_BYTES:
            return 0
        try:
            header = json.loads(file.read(size))
            ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return 0
    return LENGTH_BYTES + size + max(ends, default=0)
