"""GPT-OSS: grouped-query attention with sinks, every other layer over a window, and experts in every layer.

Sources: vLLM's `model_executor/models/gpt_oss.py`, `GptOssForCausalLMConfig` in `model_executor/models/config.py`, and
`SlidingWindowSpec` in `v1/kv_cache_interface.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from planning.sizing.architecture import Attention, Dimension
from planning.sizing.architectures.grouped_attention import GroupedAttention
from planning.sizing.matrices import FP32, Matrix
from planning.sizing.tensor_rules import TensorRule


@dataclass(frozen=True, kw_only=True)
class GptOss(GroupedAttention):
    """Half of the layers cache all tokens of a request, the other half those of its window.

    Both halves take blocks of one pool, and a block has room for the layers of one half.
    """

    attention_kind: ClassVar[Attention] = "sinks"
    tensor_rules: ClassVar[tuple[TensorRule, ...]] = (
        TensorRule(r"self_attn\.sinks", "attention", "outputs"),
        TensorRule(r"mlp\.router", "router"),
        TensorRule(r"mlp\.experts\.gate_up_proj(_blocks|_scales|_bias)?", "experts", "outputs"),
        TensorRule(r"mlp\.experts\.down_proj_bias", "experts"),
        TensorRule(r"mlp\.experts\.down_proj(_blocks|_scales)?", "experts", "inputs"),
        *GroupedAttention.tensor_rules,
    )
    stacked_experts: ClassVar[bool] = True
    captured_tokens: ClassVar[int | None] = 1024
    biases: ClassVar[bool] = True

    num_experts_per_tok: int = field()
    num_local_experts: int
    sliding_window: int

    def __post_init__(self) -> None:
        """Give the experts the names under which the plan asks for them."""
        object.__setattr__(self, "n_routed_experts", self.num_local_experts)
        object.__setattr__(self, "moe_intermediate_size", self.intermediate_size)

    def shapes(self) -> dict[str, tuple[Dimension, ...]]:
        """Of attention, the router, and the biases of the experts, whose weights are packed."""
        experts, hidden = ("num_local_experts", self.num_local_experts), ("hidden_size", self.hidden_size)
        return {
            **super().shapes(),
            "mlp.router": (experts, hidden),
            "mlp.experts.gate_up_proj_bias": (experts, ("2 × intermediate_size", 2 * self.intermediate_size)),
            "mlp.experts.down_proj_bias": (experts, hidden),
        }

    def attention(self) -> list[Matrix]:
        """With the bias of the output and a sink of each head."""
        return [
            *super().attention(),
            Matrix(self.hidden_size, 1, fp8=False),
            Matrix(self.num_attention_heads, 1, fp8=False, split="rows"),
        ]

    @property
    def rotary_bytes(self) -> int:
        """In float32 (`get_rope` in `OAIAttention`)."""
        return FP32 * self.max_position_embeddings * self.head_dim

    def cached_layers(self, layers: int) -> int:
        """The larger half (`_get_kv_cache_bytes_per_block` in `v1/core/kv_cache_utils.py`)."""
        return -(-layers // 2)

    @property
    def window(self) -> int:
        """Of every other layer."""
        return self.sliding_window

    def feed_forward_elements(self, tensor_parallel_size: int) -> int:  # noqa: ARG002 - as the docstring says
        """None: no layer is without experts."""
        return 0

    def attention_obstacles(self, tensor_parallel_size: int) -> list[str]:
        """Ranks do not share a key head: `OAIAttention` gives each the same number of them."""
        heads = self.num_key_value_heads
        return [f"num_key_value_heads {heads} does not divide by {tensor_parallel_size}"] * (
            heads % tensor_parallel_size > 0
        )

    def notes(self) -> Iterator[str]:
        """Yield that only weights and KV cache are certain."""
        yield (
            "model.repository: of GPT-OSS, what vLLM takes beside weights and KV cache is worked out and not measured"
        )
