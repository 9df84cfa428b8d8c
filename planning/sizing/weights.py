"""Sizes of a model's weights: in its repository, and on one rank of vLLM.

Both come from one list of matrices for each part of the model, so that they cannot disagree.
"""

from collections.abc import Iterable
from functools import cache

from planning.sizing.architecture import Architecture
from planning.sizing.matrices import BF16, FP32, Matrix, Precision, feed_forward


def layer(a: Architecture, *, moe: bool) -> list[Matrix]:
    """One decoder layer."""
    if not moe:
        return [*a.attention(), *feed_forward(a.hidden_size, a.intermediate_size)]
    experts, shared = a.n_routed_experts or 0, a.n_shared_experts or 0
    router = Matrix(experts, a.hidden_size, fp8=False)
    correction_bias = Matrix(experts, FP32 // BF16, fp8=False)
    return [
        *a.attention(),
        *feed_forward(a.hidden_size, a.moe_intermediate_size, count=experts),
        *(feed_forward(a.hidden_size, a.moe_intermediate_size * shared) if shared else []),
        router,
        correction_bias,
    ]


def embedding(a: Architecture) -> Matrix:
    """The embedding of the first stage; the head of the last stage is as large."""
    return Matrix(a.vocab_size, a.hidden_size, fp8=False, split="rows")


def next_token_layer(a: Architecture) -> list[Matrix]:
    """The layer that predicts one more token, which repositories hold and vLLM loads only for speculative decoding."""
    return [
        *layer(a, moe=a.n_routed_experts is not None),
        embedding(a),
        embedding(a),
        Matrix(a.hidden_size, 2 * a.hidden_size, fp8=False),
        Matrix(a.hidden_size, 1, fp8=False, count=3),
    ]


def _total(matrices: Iterable[Matrix], precision: Precision, tensor_parallel_size: int = 1) -> int:
    return sum(matrix.bytes(precision, tensor_parallel_size) for matrix in matrices)


@cache
def layer_bytes(a: Architecture, precision: Precision, tensor_parallel_size: int, *, moe: bool) -> int:
    """Bytes of one layer on one rank, with what vLLM keeps beside its matrices."""
    return _total(layer(a, moe=moe), precision, tensor_parallel_size) + a.kept_bytes(precision, tensor_parallel_size)


def stage_bytes(
    a: Architecture,
    precision: Precision,
    tensor_parallel_size: int,
    layers: tuple[int, int],
    *,
    first: bool,
    last: bool,
) -> int:
    """Bytes that vLLM reports as model loading, on one rank of a pipeline stage.

    `layers` is (all layers, those with experts). Beside the weights it counts the cache of rotary positions.
    """
    total_layers, moe_layers = layers
    total = a.rotary_bytes
    if moe_layers:
        total += moe_layers * layer_bytes(a, precision, tensor_parallel_size, moe=True)
    if total_layers > moe_layers:
        total += (total_layers - moe_layers) * layer_bytes(a, precision, tensor_parallel_size, moe=False)
    vocabulary = embedding(a).bytes(precision, tensor_parallel_size)
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
