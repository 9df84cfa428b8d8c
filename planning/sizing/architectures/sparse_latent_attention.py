"""DeepSeek V3.2 and GLM-5: latent attention whose indexer chooses the tokens that are attended to.

Source: vLLM's `DeepseekV2MLAAttention`, `Indexer` and `DeepseekV32IndexerCache` in `model_executor/models/
deepseek_v2.py`, `MLAAttention.get_kv_cache_spec` in `model_executor/layers/attention/mla_attention.py`, and
`v1/attention/backends/mla/flashmla_sparse.py`.
"""

from dataclasses import dataclass
from typing import ClassVar

from planning.sizing.architecture import Attention
from planning.sizing.architectures.latent_attention import LatentAttention
from planning.sizing.matrices import BF16, FP32, Matrix
from planning.sizing.tensor_rules import TensorRule

SCALED = 128
"""Elements of the indexer's cache that share one float32 scale."""
LONG = 256 * 1024
"""Tokens of the longest request up to which vLLM reserves five times as many for prefills, and above twice
(`sparse_mla_prefill_workspace_factor` in `config/vllm.py`)."""


@dataclass(frozen=True, kw_only=True)
class SparseLatentAttention(LatentAttention):
    """A layer with an indexer caches an FP8 key of it for each token too, on every rank, whatever the other cache is.

    Where `index_topk_freq` is above 1, layers share the choice of the last one that has an indexer.
    """

    attention_kind: ClassVar[Attention] = "sparse"
    tensor_rules: ClassVar[tuple[TensorRule, ...]] = (
        TensorRule(r"self_attn\.indexer\.wk", "indexer", in_bf16=True),
        TensorRule(r"self_attn\.indexer", "indexer"),
        *LatentAttention.tensor_rules,
    )

    index_n_heads: int
    index_head_dim: int
    index_topk: int
    index_topk_freq: int = 1
    index_skip_topk_offset: int = 2

    def has_indexer(self, layer: int) -> bool:
        """Whether that layer chooses tokens itself; one that predicts further tokens always does."""
        if layer >= self.num_hidden_layers:
            return True
        return max(layer - self.index_skip_topk_offset + 1, 0) % self.index_topk_freq == 0

    def attention(self) -> list[Matrix]:
        """With the indexer, which no rank divides, as if every layer had one; where not, the files are summed up."""
        return [
            *super().attention(),
            Matrix(self.index_n_heads * self.index_head_dim, self.q_lora_rank or 0),
            Matrix(self.index_head_dim + self.index_n_heads, self.hidden_size, fp8=False),
            Matrix(self.index_head_dim, FP32 // BF16, fp8=False, count=2),
        ]

    def beside_cache_bytes(self, layers: range) -> int:
        """Keys of the indexers, each with its scales."""
        of_one = self.index_head_dim + self.index_head_dim // SCALED * FP32
        return of_one * sum(map(self.has_indexer, layers))

    def context_elements(self, tensor_parallel_size: int) -> int:  # noqa: ARG002 - as the docstring says
        """None: a prefill reads the chosen tokens alone."""
        return 0

    def workspace_bytes(self, max_model_len: int, max_num_batched_tokens: int) -> int:
        """Latent vectors that a prefill unpacks, and the numbers of the chosen tokens."""
        factor = 5 if max_model_len <= LONG else 2
        return factor * max_model_len * self.latent_width * BF16 + max_num_batched_tokens * self.index_topk * FP32
