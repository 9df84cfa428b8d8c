"""Models of the DeepSeek V2/V3 architecture: multi-head latent attention, dense and mixture-of-experts layers.

Numbers are those of each repository's config.json, under config.json's own names.
"""

from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Literal

from planning.settings.addresses import owner_and_name

Precision = Literal["bf16", "fp8"]


@dataclass(frozen=True)
class Architecture:
    """The numbers of a config.json that decide sizes."""

    hidden_size: int
    intermediate_size: int
    moe_intermediate_size: int
    num_hidden_layers: int
    first_k_dense_replace: int
    n_routed_experts: int | None
    n_shared_experts: int | None
    num_experts_per_tok: int
    num_attention_heads: int
    q_lora_rank: int | None
    kv_lora_rank: int
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int
    vocab_size: int
    max_position_embeddings: int
    num_nextn_predict_layers: int = 0
    moe_layer_freq: int = 1
    tie_word_embeddings: bool = False

    def is_moe(self, layer: int) -> bool:
        """Whether that layer has experts, as vLLM's DeepseekV2DecoderLayer decides it."""
        return (
            self.n_routed_experts is not None
            and layer >= self.first_k_dense_replace
            and layer % self.moe_layer_freq == 0
        )


@cache
def expert_layers(architecture: Architecture) -> tuple[bool, ...]:
    """For every layer, whether it has experts."""
    return tuple(map(architecture.is_moe, range(architecture.num_hidden_layers)))


NAMES = frozenset(field.name for field in fields(Architecture))
REQUIRED = frozenset(
    field.name
    for field in fields(Architecture)
    if field.name not in {"num_nextn_predict_layers", "moe_layer_freq", "tie_word_embeddings"}
)

DEEPSEEK_V3 = Architecture(
    hidden_size=7168,
    intermediate_size=18432,
    moe_intermediate_size=2048,
    num_hidden_layers=61,
    first_k_dense_replace=3,
    n_routed_experts=256,
    n_shared_experts=1,
    num_experts_per_tok=8,
    num_attention_heads=128,
    q_lora_rank=1536,
    kv_lora_rank=512,
    qk_nope_head_dim=128,
    qk_rope_head_dim=64,
    v_head_dim=128,
    vocab_size=129280,
    max_position_embeddings=163840,
    num_nextn_predict_layers=1,
)
DEEPSEEK_V2 = replace(
    DEEPSEEK_V3,
    hidden_size=5120,
    intermediate_size=12288,
    moe_intermediate_size=1536,
    num_hidden_layers=60,
    first_k_dense_replace=1,
    n_routed_experts=160,
    n_shared_experts=2,
    num_experts_per_tok=6,
    vocab_size=102400,
    num_nextn_predict_layers=0,
)
DEEPSEEK_V2_LITE = replace(
    DEEPSEEK_V2,
    hidden_size=2048,
    intermediate_size=10944,
    moe_intermediate_size=1408,
    num_hidden_layers=27,
    n_routed_experts=64,
    num_attention_heads=16,
    q_lora_rank=None,
)
KIMI_K2 = replace(
    DEEPSEEK_V3,
    first_k_dense_replace=1,
    n_routed_experts=384,
    num_attention_heads=64,
    vocab_size=163840,
    max_position_embeddings=131072,
    num_nextn_predict_layers=0,
)

REPOSITORIES: dict[str, tuple[Architecture, Precision]] = {
    "deepseek-ai/DeepSeek-V3": (DEEPSEEK_V3, "fp8"),
    "deepseek-ai/DeepSeek-V3-0324": (DEEPSEEK_V3, "fp8"),
    "deepseek-ai/DeepSeek-V3-Base": (DEEPSEEK_V3, "fp8"),
    "deepseek-ai/DeepSeek-V3.1": (DEEPSEEK_V3, "fp8"),
    "deepseek-ai/DeepSeek-V3.1-Base": (DEEPSEEK_V3, "fp8"),
    "deepseek-ai/DeepSeek-R1": (DEEPSEEK_V3, "fp8"),
    "deepseek-ai/DeepSeek-R1-0528": (DEEPSEEK_V3, "fp8"),
    "deepseek-ai/DeepSeek-R1-Zero": (DEEPSEEK_V3, "fp8"),
    "opensourcerelease/DeepSeek-V3-bf16": (DEEPSEEK_V3, "bf16"),
    "opensourcerelease/DeepSeek-R1-bf16": (DEEPSEEK_V3, "bf16"),
    "deepseek-ai/DeepSeek-V2": (DEEPSEEK_V2, "bf16"),
    "deepseek-ai/DeepSeek-V2-Chat": (DEEPSEEK_V2, "bf16"),
    "deepseek-ai/DeepSeek-V2.5": (DEEPSEEK_V2, "bf16"),
    "deepseek-ai/DeepSeek-V2.5-1210": (DEEPSEEK_V2, "bf16"),
    "deepseek-ai/DeepSeek-Coder-V2-Base": (DEEPSEEK_V2, "bf16"),
    "deepseek-ai/DeepSeek-Coder-V2-Instruct": (DEEPSEEK_V2, "bf16"),
    "deepseek-ai/DeepSeek-V2-Lite": (DEEPSEEK_V2_LITE, "bf16"),
    "deepseek-ai/DeepSeek-V2-Lite-Chat": (DEEPSEEK_V2_LITE, "bf16"),
    "deepseek-ai/DeepSeek-Coder-V2-Lite-Base": (DEEPSEEK_V2_LITE, "bf16"),
    "deepseek-ai/DeepSeek-Coder-V2-Lite-Instruct": (DEEPSEEK_V2_LITE, "bf16"),
    "moonshotai/Kimi-K2-Base": (KIMI_K2, "fp8"),
    "moonshotai/Kimi-K2-Instruct": (KIMI_K2, "fp8"),
}


@cache
def known_repository(address: str) -> tuple[Architecture, Precision] | None:
    """Architecture and precision of a repository known by the last two segments of its address.

    Whatever the host that mirrors it.
    """
    return REPOSITORIES.get(owner_and_name(address))
