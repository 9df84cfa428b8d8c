"""Sizes of a model's weights: in its repository, and on one rank of vLLM.

Both come from one list of matrices for each part of the model, so that they cannot disagree. Sources: the modelling
code in the repository of DeepSeek-V3 for shapes; vLLM's `model_executor/models/deepseek_v2.py` for what tensor
parallelism divides and what it replicates.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from planning.sizing.architecture import Architecture, Precision

BF16 = 2
FP32 = 4
FP8_BLOCK = 128
"""Rows and columns of an FP8 weight that share one float32 scale (`weight_block_size` of config.json)."""


@dataclass(frozen=True)
class Matrix:
    """`count` weights of `rows` × `columns` (outputs × inputs), as a linear layer holds them.

    `fp8` says whether an FP8 repository quantizes it; embedding, head, router and norms stay in BF16. `split` is the
    dimension that tensor parallelism divides; without one every rank holds the whole. `copied` is 1 where vLLM keeps
    a second copy in BF16.
    """

    rows: int
    columns: int
    fp8: bool = True
    split: Literal["rows", "columns"] | None = None
    count: int = 1

    def bytes(self, precision: Precision, tensor_parallel_size: int = 1) -> int:
        """Bytes on one of `tensor_parallel_size` ranks, block scales included."""
        rows = self.rows // tensor_parallel_size if self.split == "rows" else self.rows
        columns = self.columns // tensor_parallel_size if self.split == "columns" else self.columns
        if precision == "fp8" and self.fp8:
            scales = -(-rows // FP8_BLOCK) * -(-columns // FP8_BLOCK)
            return self.count * (rows * columns + FP32 * scales)
        return self.count * BF16 * rows * columns


def _kv_b(a: Architecture) -> Matrix:
    return Matrix(a.num_attention_heads * (a.qk_nope_head_dim + a.v_head_dim), a.kv_lora_rank, split="rows")


def attention(a: Architecture) -> list[Matrix]:
    """Latent attention and the layer's norms. The projections into the latent spaces are not divided."""
    query_rows = a.num_attention_heads * (a.qk_nope_head_dim + a.qk_rope_head_dim)
    if a.q_lora_rank is None:
        query = [Matrix(query_rows, a.hidden_size, split="rows")]
    else:
        query = [
            Matrix(a.q_lora_rank, a.hidden_size),
            Matrix(a.q_lora_rank, 1, fp8=False),
            Matrix(query_rows, a.q_lora_rank, split="rows"),
        ]
    return [
        *query,
        Matrix(a.kv_lora_rank + a.qk_rope_head_dim, a.hidden_size),
        Matrix(a.kv_lora_rank, 1, fp8=False),
        _kv_b(a),
        Matrix(a.hidden_size, a.num_attention_heads * a.v_head_dim, split="columns"),
        Matrix(a.hidden_size, 1, fp8=False, count=2),
    ]


def feed_forward(hidden: int, intermediate: int, count: int = 1) -> list[Matrix]:
    """Gate, up and down projections of a dense layer, of the shared expert, or of `count` experts."""
    return [
        Matrix(intermediate, hidden, split="rows", count=2 * count),
        Matrix(hidden, intermediate, split="columns", count=count),
    ]


def layer(a: Architecture, *, moe: bool) -> list[Matrix]:
    """One decoder layer."""
    if not moe:
        return [*attention(a), *feed_forward(a.hidden_size, a.intermediate_size)]
    experts, shared = a.n_routed_experts or 0, a.n_shared_experts or 0
    router = Matrix(experts, a.hidden_size, fp8=False)
    correction_bias = Matrix(experts, FP32 // BF16, fp8=False)
    return [
        *attention(a),
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
    """Bytes of one layer on one rank.

    With FP8 weights vLLM also keeps `kv_b_proj` in BF16, for the matrix products that decoding absorbs
    (`MLAAttention.process_weights_after_loading`).
    """
    absorbed = _kv_b(a).bytes("bf16", tensor_parallel_size) if precision == "fp8" else 0
    return _total(layer(a, moe=moe), precision, tensor_parallel_size) + absorbed


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

    `layers` is (all layers, those with experts). Beside the weights it counts the float32 cache of rotary positions,
    one for all layers (`rotary_embedding/deepseek_scaling_rope.py`).
    """
    total_layers, moe_layers = layers
    total = FP32 * a.max_position_embeddings * a.qk_rope_head_dim
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
