"""Which ways there are to spread a model over GPUs."""

from collections.abc import Iterator, Mapping
from functools import cache

from planning.sizing.architecture import Architecture, expert_layers
from planning.sizing.matrices import FP8_BLOCK, Precision
from planning.sizing.sizes import Sizes

VOCABULARY_PADDING = 64
"""vLLM pads the vocabulary to a multiple of this before it divides it."""


@cache
def obstacles(
    architecture: Architecture, precision: Precision, tensor_parallel_size: int, *, whole_experts: bool = False
) -> tuple[str, ...]:
    """What tensor parallelism of that size cannot divide; vLLM refuses each when it builds the model.

    `whole_experts`: no rank divides an expert, not even a shared one.
    """
    a, tensor = architecture, tensor_parallel_size
    moe = expert_layers(a)
    widths = {
        "intermediate_size": 0 if all(moe) else a.intermediate_size,
        "moe_intermediate_size": a.moe_intermediate_size if any(moe) and not whole_experts else 0,
    }
    counts = {"num_attention_heads": a.num_attention_heads, "vocab_size": _padded(a.vocab_size), **widths}
    faults = [f"{name} {size} does not divide by {tensor}" for name, size in counts.items() if size % tensor]
    faults += a.attention_obstacles(tensor)
    if not faults:
        faults += _split_scales(precision, widths, tensor)
    return tuple(faults)


def _split_scales(precision: Precision, widths: Mapping[str, int], ranks: int) -> list[str]:
    if precision != "fp8" or ranks == 1:
        return []
    blocks = f"is not a multiple of {FP8_BLOCK}, the width that shares an FP8 scale"
    return [
        f"{name} {size} / {ranks} = {size // ranks} {blocks}"
        for name, size in widths.items()
        if size // ranks % FP8_BLOCK
    ]


def data_obstacles(a: Architecture, precision: Precision, sizes: Sizes) -> list[str]:
    """Return what of the experts the ranks of all copies of the attention cannot share.

    Sources: `flatten_tp_across_dp_and_pcp` in `model_executor/layers/fused_moe/config.py`, and
    `_verify_with_expert_parallelism` in `config/model.py`.
    """
    ranks, experts = sizes.expert_ranks, a.n_routed_experts or 0
    if not any(expert_layers(a)):
        return []
    if sizes.expert_parallel:
        return [f"{ranks} ranks share {experts} experts"] if ranks > experts else []
    if sizes.data_parallel_size == 1:
        return []
    if a.moe_intermediate_size % ranks:
        return [f"moe_intermediate_size {a.moe_intermediate_size} does not divide by {ranks}"]
    return _split_scales(precision, {"moe_intermediate_size": a.moe_intermediate_size}, ranks)


def context_obstacles(a: Architecture, sizes: Sizes) -> list[str]:
    """Return why ranks cannot divide the KV cache of grouped attention (`verify_with_parallel_config`)."""
    key_heads: int | None = getattr(a, "num_key_value_heads", None)
    tensor, context = sizes.tensor_parallel_size, sizes.decode_context_parallel_size
    if key_heads is None or context == 1:
        return []
    copies = tensor // key_heads
    if context > copies:
        text = f"{context} ranks cannot divide the cache of a key head that {max(1, copies)} of {tensor} keep"
        return [f"{text}: there are {key_heads} key heads"]
    queries = a.num_attention_heads // key_heads
    return [f"{queries} queries of a key head do not divide by {context}"] if queries % context else []


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


def divisors(number: int) -> list[int]:
    """From 1 to the number itself."""
    return [size for size in range(1, number + 1) if number % size == 0]


def splits_of_all(architecture: Architecture | None, gpus: int, gpus_per_node: int) -> Iterator[tuple[int, int, int]]:
    """Yield every (data, tensor, pipeline) parallel size whose product is `gpus`, copies of the attention in a node."""
    widest, deepest = gpus, gpus
    if architecture:
        widest, deepest = architecture.num_attention_heads, architecture.num_hidden_layers
    for data in divisors(gpus):
        of_one = gpus // data
        if data > 1 and gpus_per_node % of_one:
            continue
        for tensor in divisors(of_one):
            if tensor <= widest and of_one // tensor <= deepest:
                yield data, tensor, of_one // tensor


def _works(architecture: Architecture, precision: Precision, tensor: int, pipeline: int) -> bool:
    return pipeline <= architecture.num_hidden_layers and not obstacles(architecture, precision, tensor)
