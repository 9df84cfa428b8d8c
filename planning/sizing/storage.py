"""Disk for the weights, and the time that they take to come."""

from planning.settings.quantities import GB, GiB

HEADERS = 0.0002
"""Share of a repository that is not tensors: headers of the safetensors files, tokenizer, code. DeepSeek-V3's is
0.00002 of headers."""
CACHES = 10 * GiB
"""Room for compile caches beside the weights. Assumed; they are megabytes each."""


def weights_on_disk(repository_bytes: int) -> int:
    """Bytes of one revision in its folder, of which there is one copy."""
    return int(repository_bytes * (1 + HEADERS))


def disk_needed(repository_bytes: int, revisions: int = 1) -> int:
    """Bytes of a claim that holds `revisions` revisions and the caches; small models need little for caches."""
    weights = revisions * weights_on_disk(repository_bytes)
    return weights + min(CACHES, max(weights // 10, GB // 10))


def download_seconds(repository_bytes: int, bits_per_second: float) -> float:
    """At best, with the whole bandwidth."""
    return weights_on_disk(repository_bytes) * 8 / bits_per_second
