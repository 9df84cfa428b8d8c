"""Sizes of a model's weights: in its repository, and on one rank of vLLM.

Both come from one list of matrices for each part of the model, so that they cannot disagree.
"""

from collections.abc import Iterable
from functools import cache

from planning.sizing.architecture import Architecture
from planning.sizing.matrices import BF16, FP32, Matrix, Precision, feed_forward
from planning.sizing.sizes import Sizes


def layer(a: Architecture, *, moe: bool) -> list[Matrix]:
    """One decoder layer."""
    if not moe:
        return [*a.attention(), *feed_forward(a.hidden_size, a.intermediate_size)]
    return [*a.attention(), *_experts(a, a.n_routed_experts or 0), *_shared_experts(a), *_router(a)]


def _experts(a: Architecture, count: int) -> list[Matrix]:
    return feed_forward(a.hidden_size, a.moe_intermediate_size, count=count)


def _shared_experts(a: Architecture) -> list[Matrix]:
    return feed_forward(a.hidden_size, a.moe_intermediate_size * a.n_shared_experts) if a.n_shared_experts else []


def _router(a: Architecture) -> list[Matrix]:
    """The router and its correction bias, on every rank."""
    experts = a.n_routed_experts or 0
    return [Matrix(experts, a.hidden_size, fp8=False), Matrix(experts, FP32 // BF16, fp8=False)]


def embedding(a: Architecture) -> Matrix:
    """The embedding of the first stage; the head of the last stage is as large."""
    return Matrix(a.vocab_size, a.hidden_size, fp8=False, split="rows")


def next_token_layer(a: Architecture) -> list[Matrix]:
    """The layer that predicts one more token, which repositories hold and vLLM loads only for speculative decoding."""
    return [*layer(a, moe=a.n_routed_experts is not None), embedding(a), embedding(a), *_joining(a)]


def _joining(a: Architecture) -> list[Matrix]:
    """What joins the last token with the hidden state, and the layer's further norms: on every rank."""
    return [Matrix(a.hidden_size, 2 * a.hidden_size, fp8=False), Matrix(a.hidden_size, 1, fp8=False, count=3)]


def _total(matrices: Iterable[Matrix], precision: Precision, tensor_parallel_size: int = 1) -> int:
    return sum(matrix.bytes(precision, tensor_parallel_size) for matrix in matrices)


def layer_bytes(a: Architecture, precision: Precision, sizes: Sizes, *, moe: bool) -> int:
    """Bytes of one layer on one rank, with what vLLM keeps beside its matrices."""
    tensor = sizes.tensor_parallel_size
    if not moe:
        return _dense_layer_bytes(a, precision, tensor)
    experts = sizes.expert_ranks, sizes.expert_parallel
    return _layer_bytes(a, precision, tensor, experts, 1 if sizes.copies_shared_experts else tensor)


@cache
def _dense_layer_bytes(a: Architecture, precision: Precision, tensor: int) -> int:
    return _total(layer(a, moe=False), precision, tensor) + a.kept_bytes(precision, tensor)


@cache
def _layer_bytes(a: Architecture, precision: Precision, tensor: int, experts: tuple[int, bool], shared: int) -> int:
    """`experts` are (ranks that share them, whether each holds whole ones), `shared` divide the shared experts."""
    ranks, whole = experts
    count = a.n_routed_experts or 0
    total = (
        _total(_experts(a, -(-count // ranks)), precision) if whole else _total(_experts(a, count), precision, ranks)
    )
    total += _total([*a.attention(), *_router(a)], precision, tensor) + _total(_shared_experts(a), precision, shared)
    return total + a.kept_bytes(precision, tensor)


def next_token_bytes(a: Architecture, precision: Precision, sizes: Sizes, *, first: bool) -> int:
    """Bytes on one rank of the last stage of the layers that predict further tokens.

    They take the head of the stage, and its embedding where it is the first stage too. Otherwise vLLM loads another
    one (`maybe_share_target_embed` in `v1/worker/gpu/spec_decode/eagle/utils.py`).
    """
    moe = a.n_routed_experts is not None
    own = layer_bytes(a, precision, sizes, moe=moe) + _total(_joining(a), precision)
    vocabulary = 0 if first else embedding(a).bytes(precision, sizes.tensor_parallel_size)
    return a.num_nextn_predict_layers * own + vocabulary


def stage_bytes(
    a: Architecture, precision: Precision, sizes: Sizes, layers: tuple[int, int], *, first: bool, last: bool
) -> int:
    """Bytes that vLLM reports as model loading, on one rank of a pipeline stage.

    `layers` is (all layers, those with experts). Beside the weights it counts the cache of rotary positions.
    """
    total_layers, moe_layers = layers
    total = a.rotary_bytes
    if moe_layers:
        total += moe_layers * layer_bytes(a, precision, sizes, moe=True)
    if total_layers > moe_layers:
        total += (total_layers - moe_layers) * layer_bytes(a, precision, sizes, moe=False)
    vocabulary = embedding(a).bytes(precision, sizes.tensor_parallel_size)
    shared = first and a.tie_word_embeddings
    return total + first * vocabulary + last * (vocabulary * (not shared) + BF16 * a.hidden_size)


@cache
def repository_bytes(a: Architecture, precision: Precision) -> int:
    """Bytes of the tensors in the repository, the layers for predicting further tokens included."""
    moe_layers = sum(a.is_moe(index) for index in range(a.num_hidden_layers))
    total = moe_layers * _total(layer(a, moe=True), precision)
    total += (a.num_hidden_layers - moe_layers) * _total(layer(a, moe=False), precision)
    total += (1 if a.tie_word_embeddings else 2) * embedding(a).bytes(precision) + BF16 * a.hidden_size
    return total + a.num_nextn_predict_layers * _total(next_token_layer(a), precision)
