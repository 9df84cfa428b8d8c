"""Llama 3, Qwen2 and Qwen3: grouped-query attention (GQA), every layer dense. DeepSeek-R1 was distilled into such.

Source: vLLM's `model_executor/models/llama.py`, `qwen2.py` and `qwen3.py`, and `QKVParallelLinear` in
`model_executor/layers/linear.py`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from planning.sizing.architecture import Architecture, Attention, Dimension
from planning.sizing.matrices import BF16, Matrix, Precision
from planning.sizing.tensor_rules import DENSE, NORMS, TensorRule


@dataclass(frozen=True, kw_only=True)
class GroupedAttention(Architecture):
    """A layer caches a key and a value of every key head. Ranks divide the key heads, and copy them if they are more.

    `biases` tells whether queries, keys and values have a bias, `head_norms` whether each head's queries and keys have
    a norm.
    """

    attention_kind: ClassVar[Attention] = "grouped"
    tensor_rules: ClassVar[tuple[TensorRule, ...]] = (
        TensorRule(r"self_attn\.q_proj", "attention", "outputs"),
        TensorRule(r"self_attn\.[kv]_proj", "attention", "key heads"),
        TensorRule(r"self_attn\.o_proj", "attention", "inputs"),
        TensorRule(r"self_attn\.[qk]_norm", "norm"),
        *NORMS,
        *DENSE,
    )
    biases: ClassVar[bool] = False
    head_norms: ClassVar[bool] = False

    num_key_value_heads: int
    head_dim: int
    moe_intermediate_size: int = field(default=0, init=False)
    first_k_dense_replace: int = field(default=0, init=False)
    n_routed_experts: int | None = field(default=None, init=False)
    n_shared_experts: int | None = field(default=None, init=False)
    num_experts_per_tok: int = field(default=0, init=False)
    num_nextn_predict_layers: int = field(default=0, init=False)
    moe_layer_freq: int = field(default=1, init=False)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Its numbers. The width of a head is what the heads share of the hidden size, unless it is given."""
        given = dict(config)
        if given.get("head_dim") is None and "hidden_size" in given and given.get("num_attention_heads"):
            given["head_dim"] = given["hidden_size"] // given["num_attention_heads"]
        return super().from_config(given)

    def shapes(self) -> dict[str, tuple[Dimension, ...]]:
        """Of the projections, the norm and the feed-forward part."""
        hidden = ("hidden_size", self.hidden_size)
        queries = ("num_attention_heads × head_dim", self.num_attention_heads * self.head_dim)
        return {
            "input_layernorm": (hidden,),
            "self_attn.q_proj": (queries, hidden),
            "self_attn.k_proj": (("num_key_value_heads × head_dim", self.num_key_value_heads * self.head_dim), hidden),
            "self_attn.o_proj": (hidden, queries),
            "mlp.down_proj": (hidden, ("intermediate_size", self.intermediate_size)),
        }

    def attention(self) -> list[Matrix]:
        """Queries, keys, values and the output, with the layer's norms."""
        queries, keys = self.num_attention_heads * self.head_dim, self.num_key_value_heads * self.head_dim
        one_head = self.head_dim
        projections = [
            Matrix(queries, self.hidden_size, split="rows"),
            Matrix(keys, self.hidden_size, split="rows", count=2, least_rows=one_head),
            Matrix(self.hidden_size, queries, split="columns"),
            Matrix(self.hidden_size, 1, fp8=False, count=2),
        ]
        biases = [
            Matrix(queries, 1, fp8=False, split="rows"),
            Matrix(keys, 1, fp8=False, split="rows", count=2, least_rows=one_head),
        ]
        norms = [Matrix(self.head_dim, 1, fp8=False, count=2)]
        return projections + biases * self.biases + norms * self.head_norms

    def kept_bytes(self, precision: Precision, tensor_parallel_size: int) -> int:  # noqa: ARG002 - as the docstring says
        """None."""
        return 0

    @property
    def rotary_bytes(self) -> int:
        """Cosine and sine of half a head's width each, in the model's type (`rotary_embedding/base.py`)."""
        return BF16 * self.max_position_embeddings * self.head_dim

    def cache_elements(self, tensor_parallel_size: int) -> int:
        """A key and a value of each key head that the rank has."""
        return 2 * self._key_heads(tensor_parallel_size) * self.head_dim

    def attention_elements(self, tensor_parallel_size: int) -> int:
        """Queries and the output of each head, keys and values."""
        heads = self.num_attention_heads // tensor_parallel_size
        return 2 * heads * self.head_dim + self.cache_elements(tensor_parallel_size)

    @property
    def projection_elements(self) -> int:
        """None: attention reads the one projection itself."""
        return 0

    def context_elements(self, tensor_parallel_size: int) -> int:  # noqa: ARG002 - as the docstring says
        """None: attention reads the cache as it is."""
        return 0

    def partial_sum_elements(self, tensor_parallel_size: int) -> int:
        """A value of every head."""
        return self.num_attention_heads // tensor_parallel_size * self.head_dim

    def feed_forward_elements(self, tensor_parallel_size: int) -> int:
        """Gate and up projection, and their product."""
        return 3 * self.intermediate_size // tensor_parallel_size

    def attention_obstacles(self, tensor_parallel_size: int) -> list[str]:
        """Key heads are divided among ranks, or ranks among key heads."""
        heads, ranks = self.num_key_value_heads, tensor_parallel_size
        if heads % ranks == 0 or ranks % heads == 0:
            return []
        return [f"num_key_value_heads {heads} neither divides by {ranks} nor divides it"]

    @property
    def decode_width(self) -> int:
        """A key and a value."""
        return 2 * self.head_dim

    @property
    def prefill_width(self) -> int:
        """A key and a value."""
        return 2 * self.head_dim

    def notes(self) -> Iterator[str]:
        """Yield that only weights and KV cache are certain."""
        yield (
            "model.repository: with grouped-query attention, what vLLM takes beside weights and KV cache is worked out "
            "and not measured"
        )

    def _key_heads(self, tensor_parallel_size: int) -> int:
        return max(1, self.num_key_value_heads // tensor_parallel_size)


@dataclass(frozen=True, kw_only=True)
class Llama(GroupedAttention):
    """Llama 3: no bias, no norm of heads."""


@dataclass(frozen=True, kw_only=True)
class Qwen2(GroupedAttention):
    """Qwen2 and Qwen2.5: a bias of queries, keys and values."""

    biases: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class Qwen3(GroupedAttention):
    """Qwen3: a norm of each head's queries and keys."""

    head_norms: ClassVar[bool] = True
