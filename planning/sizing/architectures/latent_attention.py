"""DeepSeek V2 and V3, Kimi K2: multi-head latent attention (MLA), layers with and without experts.

Sources: the modelling code in the repository of DeepSeek-V3 for shapes; vLLM's `model_executor/models/deepseek_v2.py`
for what tensor parallelism divides and what it replicates.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from planning.sizing.architecture import Architecture, Attention, Dimension
from planning.sizing.matrices import FP32, Matrix, Precision
from planning.sizing.tensor_rules import DENSE, EXPERTS, NEXT_TOKEN, NORMS, TensorRule

LATENT = 576
"""Width of latent vector and rotary key that vLLM's fast attention kernels are written for."""


@dataclass(frozen=True, kw_only=True)
class LatentAttention(Architecture):
    """A layer caches one latent vector and one rotary key for each token, the same on every rank."""

    attention_kind: ClassVar[Attention] = "latent"
    tensor_rules: ClassVar[tuple[TensorRule, ...]] = (
        TensorRule(r"self_attn\.(q_a_proj|kv_a_proj_with_mqa)", "attention"),
        TensorRule(r"self_attn\.(q|q_b)_proj", "attention", "outputs"),
        TensorRule(r"self_attn\.kv_b_proj", "kv_b", "outputs"),
        TensorRule(r"self_attn\.o_proj", "attention", "inputs"),
        TensorRule(r"self_attn\.(q|kv)_a_layernorm", "norm"),
        *NORMS,
        *EXPERTS,
        *DENSE,
        *NEXT_TOKEN,
    )

    q_lora_rank: int | None
    kv_lora_rank: int
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int

    def shapes(self) -> dict[str, tuple[Dimension, ...]]:
        """Of the projections, norms, router and feed-forward parts."""
        hidden = ("hidden_size", self.hidden_size)
        latent = ("kv_lora_rank", self.kv_lora_rank)
        values = "num_attention_heads × (qk_nope_head_dim + v_head_dim)", self._kv_b.rows
        outputs = "num_attention_heads × v_head_dim", self.num_attention_heads * self.v_head_dim
        shapes: dict[str, tuple[Dimension, ...]] = {
            "input_layernorm": (hidden,),
            "self_attn.kv_a_layernorm": (latent,),
            "self_attn.kv_a_proj_with_mqa": (("kv_lora_rank + qk_rope_head_dim", self.latent_width), hidden),
            "self_attn.kv_b_proj": (values, latent),
            "self_attn.o_proj": (hidden, outputs),
            "mlp.down_proj": (hidden, ("intermediate_size", self.intermediate_size)),
            "mlp.gate": (("n_routed_experts", self.n_routed_experts or 0), hidden),
            "mlp.experts.0.down_proj": (hidden, ("moe_intermediate_size", self.moe_intermediate_size)),
        }
        if self.q_lora_rank is not None:
            shapes["self_attn.q_a_proj"] = (("q_lora_rank", self.q_lora_rank), hidden)
        return shapes

    def attention(self) -> list[Matrix]:
        """Latent attention and the layer's norms. The projections into the latent spaces are not divided."""
        query_rows = self.num_attention_heads * (self.qk_nope_head_dim + self.qk_rope_head_dim)
        if self.q_lora_rank is None:
            query = [Matrix(query_rows, self.hidden_size, split="rows")]
        else:
            query = [
                Matrix(self.q_lora_rank, self.hidden_size),
                Matrix(self.q_lora_rank, 1, fp8=False),
                Matrix(query_rows, self.q_lora_rank, split="rows"),
            ]
        return [
            *query,
            Matrix(self.latent_width, self.hidden_size),
            Matrix(self.kv_lora_rank, 1, fp8=False),
            self._kv_b,
            Matrix(self.hidden_size, self.num_attention_heads * self.v_head_dim, split="columns"),
            Matrix(self.hidden_size, 1, fp8=False, count=2),
        ]

    def kept_bytes(self, precision: Precision, tensor_parallel_size: int) -> int:
        """With FP8 weights vLLM also keeps `kv_b_proj` in BF16, for the matrix products that decoding absorbs.

        Source: `MLAAttention.process_weights_after_loading`.
        """
        return self._kv_b.bytes("bf16", tensor_parallel_size) if precision == "fp8" else 0

    @property
    def rotary_bytes(self) -> int:
        """In float32 (`rotary_embedding/deepseek_scaling_rope.py`)."""
        return FP32 * self.max_position_embeddings * self.qk_rope_head_dim

    def cache_elements(self, tensor_parallel_size: int) -> int:  # noqa: ARG002 - replicated
        """One latent vector and one rotary key, the same on every rank."""
        return self.latent_width

    def attention_elements(self, tensor_parallel_size: int) -> int:
        """Queries, latent keys and values, and the output."""
        of_a_head = self.qk_nope_head_dim + self.qk_rope_head_dim + self.v_head_dim
        return self._heads(tensor_parallel_size) * of_a_head + self.latent_width

    @property
    def projection_elements(self) -> int:
        """Of the projections into the latent spaces."""
        return self.latent_width + 2 * (self.q_lora_rank or 0)

    def context_elements(self, tensor_parallel_size: int) -> int:
        """Keys and values of every head."""
        return self._heads(tensor_parallel_size) * (self.qk_nope_head_dim + self.v_head_dim)

    def partial_sum_elements(self, tensor_parallel_size: int) -> int:
        """A latent vector of every head."""
        return self._heads(tensor_parallel_size) * self.kv_lora_rank

    def feed_forward_elements(self, tensor_parallel_size: int) -> int:  # noqa: ARG002 - as the docstring says
        """None: the expanded context of attention is larger."""
        return 0

    def attention_obstacles(self, tensor_parallel_size: int) -> list[str]:  # noqa: ARG002 - as the docstring says
        """None: beside the heads nothing is divided."""
        return []

    @property
    def decode_width(self) -> int:
        """Latent vector and rotary key for the scores, the latent vector for the output."""
        return self.latent_width + self.kv_lora_rank

    @property
    def prefill_width(self) -> int:
        """Expanded keys and values."""
        return self.qk_nope_head_dim + self.qk_rope_head_dim + self.v_head_dim

    def notes(self) -> Iterator[str]:
        """Yield that the kernels are not written for this width, where they are not."""
        if self.latent_width != LATENT:
            yield (
                f"model.architecture: attention kernels want kv_lora_rank + qk_rope_head_dim = {LATENT}, not "
                f"{self.latent_width}"
            )

    @property
    def latent_width(self) -> int:
        """Elements of latent vector and rotary key together."""
        return self.kv_lora_rank + self.qk_rope_head_dim

    @property
    def _kv_b(self) -> Matrix:
        rows = self.num_attention_heads * (self.qk_nope_head_dim + self.v_head_dim)
        return Matrix(rows, self.kv_lora_rank, split="rows")

    def _heads(self, tensor_parallel_size: int) -> int:
        return self.num_attention_heads // tensor_parallel_size
