"""Disk for the weights, and the time that they take to come."""

from planning.settings.quantities import GB, GiB
from planning.sizing.architecture import Architecture
from planning.sizing.matrices import Precision
from planning.sizing.weights import repository_bytes

HEADERS = 0.0002
"""Share of a repository that is not tensors: headers of the safetensors files, tokenizer, code. DeepSeek-V3's is
0.00002 of headers."""
CACHES = 10 * GiB
"""Room for compile caches beside the weights. Assumed; they are megabytes each."""


def weights_on_disk(architecture: Architecture, precision: Precision) -> int:
    """Bytes of one revision in its folder, of which there is one copy."""
    return int(repository_bytes(architecture, precision) * (1 + HEADERS))


def disk_needed(architecture: Architecture, precision: Precision, revisions: int = 1) -> int:
    """Bytes of a claim that holds `revisions` revisions and the caches; small models need little for caches."""
    weights = revisions * weights_on_disk(architecture, precision)
    return weights + min(CACHES, max(weights // 10, GB // 10))


def download_seconds(architecture: Architecture, precision: Precision, bits_per_second: float) -> float:
    """At best, with the whole bandwidth."""
    return weights_on_disk(architecture, precision) * 8 / bits_per_second
