"""What one step makes a rank do in one layer: bytes read, multiplications, bytes sent.

Formulas follow the shapes of planning/sizing. A multiplication of weights costs 2 operations for each weight and token.
With latent attention, decoding multiplies latent vectors of the KV cache (576 for the scores, 512 for the output, each
head); a prefill expands keys and values and multiplies those (192 and 128, each head, half of them masked).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from planning.sizing.architecture import Architecture
from planning.sizing.matrices import BF16, Matrix, Precision, feed_forward
from planning.sizing.weights import embedding
from planning.speed.layout import Layout

EXPERT_ROWS = 128
"""Rows of a tile in which vLLM multiplies the tokens of an expert, and the least tokens of a step for such tiles.
Source: `get_default_config` in `fused_moe.py`; DeepGEMM aligns FP8 in the same way."""
SMALL_STEP = 512

Routing = Literal["even", "same"]
"""`even`: each token's experts are drawn at random, which a trained router comes near. `same`: all tokens go to the
same experts, as the router of random weights decides."""


@dataclass(frozen=True)
class Batch:
    """The tokens of one step, on one data-parallel rank."""

    decoding: float = 0
    """Requests that get their next token."""
    context: float = 0
    """Tokens that each of them has in the KV cache."""
    prefill: float = 0
    """Tokens of prompts."""
    prompt: float = 0
    """Length of each prompt."""

    @property
    def tokens(self) -> float:
        """All of them."""
        return self.decoding + self.prefill


@dataclass(frozen=True)
class Work:
    """Of one rank. Bytes and floating-point operations."""

    weights: float = 0
    weights_flops: float = 0
    experts: float = 0
    experts_flops: float = 0
    cache: float = 0
    attention_flops: float = 0
    reduced: float = 0
    """Bytes of the tensors that collectives of tensor-parallel ranks combine."""
    collectives: int = 0
    """How many of them."""
    exchanged: float = 0
    """Bytes of the tensors that all ranks which share experts gather and scatter."""
    exchanges: int = 0


@dataclass(frozen=True)
class Model:
    """What is multiplied."""

    architecture: Architecture
    precision: Precision
    cache_element_bytes: int = BF16
    routing: Routing = "even"


def _held(matrices: Iterable[Matrix], precision: Precision, ranks: int) -> tuple[int, int]:
    """Bytes of the matrices on one of `ranks`, and their elements."""
    parts = [(m.bytes(precision, ranks), m.rows * m.columns * m.count // (ranks if m.split else 1)) for m in matrices]
    return sum(part[0] for part in parts), sum(part[1] for part in parts)


@cache
def _without_experts(a: Architecture, precision: Precision, tensor: int, shared: int, *, moe: bool) -> tuple[int, int]:
    """Bytes and elements of a layer's matrices beside the routed experts; `shared` ranks divide the shared ones."""
    matrices = [*a.attention(), *([Matrix(a.n_routed_experts or 0, a.hidden_size, fp8=False)] if moe else [])]
    width = a.moe_intermediate_size * (a.n_shared_experts or 0) if moe else a.intermediate_size
    parts = _held(matrices, precision, tensor), _held(feed_forward(a.hidden_size, width), precision, shared)
    return parts[0][0] + parts[1][0], parts[0][1] + parts[1][1]


@cache
def _one_expert(a: Architecture, precision: Precision) -> tuple[int, int]:
    return _held(feed_forward(a.hidden_size, a.moe_intermediate_size), precision, 1)


@cache
def _head(a: Architecture, precision: Precision, tensor: int) -> tuple[int, int]:
    return _held([embedding(a)], precision, tensor)


def experts_read(model: Model, tokens: float) -> float:
    """Return how many different experts of a layer `tokens` tokens use; an expected value where experts are drawn."""
    a = model.architecture
    experts, chosen = a.n_routed_experts or 0, a.num_experts_per_tok
    if model.routing == "same" or not experts:
        return min(experts, chosen if tokens else 0)
    return experts * (1 - (1 - chosen / experts) ** tokens)


def layer_work(model: Model, layout: Layout, batch: Batch, *, moe: bool) -> Work:
    """One decoder layer."""
    a, tensor = model.architecture, layout.tensor_parallel_size
    shared = 1 if moe and layout.copies_shared_experts else tensor
    weights, elements = _without_experts(a, model.precision, tensor, shared, moe=moe)
    heads = a.num_attention_heads / tensor
    context = batch.decoding * batch.context
    expanded = batch.prefill * batch.prompt / 2 * a.prefill_width
    experts = _experts(model, layout, batch.tokens) if moe else (0.0, 0.0)
    reduced, collectives = _collectives(a, layout, batch)
    # All tokens come to the ranks that share experts, and their sums go back.
    exchanges = 2 if moe and layout.data_parallel_size > 1 else 0
    return Work(
        weights=weights,
        weights_flops=2 * elements * batch.tokens,
        experts=experts[0],
        experts_flops=experts[1],
        cache=context / layout.decode_context_parallel_size * a.cache_elements(tensor) * model.cache_element_bytes,
        attention_flops=2 * heads * (context * a.decode_width + expanded),
        reduced=reduced,
        collectives=collectives,
        exchanged=layout.data_parallel_size * batch.tokens * a.hidden_size * BF16 if exchanges else 0,
        exchanges=exchanges,
    )


def _experts(model: Model, layout: Layout, tokens: float) -> tuple[float, float]:
    """Bytes and operations of the routed experts on one rank; the tokens of all data-parallel ranks meet there."""
    a = model.architecture
    tokens *= layout.data_parallel_size
    of_one, elements = _one_expert(a, model.precision)
    used = experts_read(model, tokens)
    rows = a.num_experts_per_tok * tokens
    if tokens > SMALL_STEP:
        # The last tile of each expert is half full on average.
        rows += used * EXPERT_ROWS / 2
    return used * of_one / layout.expert_ranks, 2 * elements * rows / layout.expert_ranks


def _collectives(a: Architecture, layout: Layout, batch: Batch) -> tuple[float, int]:
    """Bytes of the tensors that tensor-parallel ranks combine in one layer, and how often they do.

    They add up after attention and after the feed-forward part. Decode context parallelism gathers queries, and adds
    up outputs and their weights.
    """
    hidden = batch.tokens * a.hidden_size * BF16
    reduced, collectives = 0.0, 0
    if layout.tensor_parallel_size > 1:
        reduced, collectives = 2 * hidden, 2
    if layout.decode_context_parallel_size > 1:
        reduced += batch.decoding * a.num_attention_heads / layout.tensor_parallel_size * a.decode_width * BF16
        collectives += 3
    return reduced, collectives


def head_work(model: Model, layout: Layout, batch: Batch) -> Work:
    """Logits of every request that gets a token; a prefill needs them once for each prompt."""
    weights, elements = _head(model.architecture, model.precision, layout.tensor_parallel_size)
    rows = batch.decoding + (batch.prefill / batch.prompt if batch.prompt else 0)
    gathered = rows * model.architecture.vocab_size * BF16 if layout.tensor_parallel_size > 1 else 0
    return Work(
        weights=weights,
        weights_flops=2 * elements * rows,
        reduced=gathered,
        collectives=int(layout.tensor_parallel_size > 1),
    )
