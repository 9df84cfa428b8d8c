"""Which ways there are to spread a model over GPUs."""

from functools import cache

from planning.sizing.architecture import Architecture
from planning.sizing.matrices import FP8_BLOCK, Precision

VOCABULARY_PADDING = 64
"""vLLM pads the vocabulary to a multiple of this before it divides it."""


@cache
def obstacles(architecture: Architecture, precision: Precision, tensor_parallel_size: int) -> tuple[str, ...]:
    """What tensor parallelism of that size cannot divide; vLLM refuses each when it builds the model."""
    a, tensor = architecture, tensor_parallel_size
    moe = [a.is_moe(layer) for layer in range(a.num_hidden_layers)]
    widths = {
        "intermediate_size": 0 if all(moe) else a.intermediate_size,
        "moe_intermediate_size": a.moe_intermediate_size if any(moe) else 0,
    }
    counts = {"num_attention_heads": a.num_attention_heads, "vocab_size": _padded(a.vocab_size), **widths}
    faults = [f"{name} {size} does not divide by {tensor}" for name, size in counts.items() if size % tensor]
    faults += a.attention_obstacles(tensor)
    if precision == "fp8" and tensor > 1 and not faults:
        faults = [
            f"{name} {size} / {tensor} = {size // tensor} is not a multiple of {FP8_BLOCK}, the width that "
            "shares an FP8 scale"
            for name, size in widths.items()
            if size // tensor % FP8_BLOCK
        ]
    return tuple(faults)


def _padded(vocabulary: int) -> int:
    return -(-vocabulary // VOCABULARY_PADDING) * VOCABULARY_PADDING


def possible_splits(
    architecture: Architecture | None, precision: Precision, gpus: int, gpus_per_node: int
) -> list[tuple[int, int]]:
    """Return every (tensor, pipeline) parallel size whose product is `gpus`.

    The one nearest to a node for each stage comes first, tensor parallelism across nodes last.
    """
    largest = min(gpus, architecture.num_attention_heads if architecture else gpus_per_node)
    splits = [
        (tensor, gpus // tensor)
        for tensor in range(1, largest + 1)
        if gpus % tensor == 0 and (architecture is None or _works(architecture, precision, tensor, gpus // tensor))
    ]
    return sorted(splits, key=lambda split: (split[0] > gpus_per_node, abs(split[0] - gpus_per_node)))


def _works(architecture: Architecture, precision: Precision, tensor: int, pipeline: int) -> bool:
    return pipeline <= architecture.num_hidden_layers and not obstacles(architecture, precision, tensor)
