"""Repositories whose numbers are known, as their config.json has them."""

from dataclasses import replace
from functools import cache

from planning.settings.addresses import owner_and_name
from planning.sizing.architecture import Architecture
from planning.sizing.architectures.grouped_attention import Llama, Qwen2, Qwen3
from planning.sizing.architectures.latent_attention import LatentAttention
from planning.sizing.matrices import Precision

DEEPSEEK_V3 = LatentAttention(
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

LLAMA_3_8B = Llama(
    hidden_size=4096,
    intermediate_size=14336,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
    head_dim=128,
    vocab_size=128256,
    max_position_embeddings=131072,
)
LLAMA_3_70B = replace(
    LLAMA_3_8B, hidden_size=8192, intermediate_size=28672, num_hidden_layers=80, num_attention_heads=64
)
QWEN_2_32B = Qwen2(
    hidden_size=5120,
    intermediate_size=27648,
    num_hidden_layers=64,
    num_attention_heads=40,
    num_key_value_heads=8,
    head_dim=128,
    vocab_size=152064,
    max_position_embeddings=131072,
)
QWEN_2_14B = replace(QWEN_2_32B, intermediate_size=13824, num_hidden_layers=48)
QWEN_2_7B = replace(
    QWEN_2_32B,
    hidden_size=3584,
    intermediate_size=18944,
    num_hidden_layers=28,
    num_attention_heads=28,
    num_key_value_heads=4,
)
QWEN_2_1_5B = replace(
    QWEN_2_7B,
    hidden_size=1536,
    intermediate_size=8960,
    num_attention_heads=12,
    num_key_value_heads=2,
    vocab_size=151936,
)
QWEN_3_8B = Qwen3(
    hidden_size=4096,
    intermediate_size=12288,
    num_hidden_layers=36,
    num_attention_heads=32,
    num_key_value_heads=8,
    head_dim=128,
    vocab_size=151936,
    max_position_embeddings=131072,
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
    "deepseek-ai/DeepSeek-R1-Distill-Llama-8B": (LLAMA_3_8B, "bf16"),
    "deepseek-ai/DeepSeek-R1-Distill-Llama-70B": (LLAMA_3_70B, "bf16"),
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": (QWEN_2_1_5B, "bf16"),
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B": (QWEN_2_7B, "bf16"),
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B": (QWEN_2_14B, "bf16"),
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B": (QWEN_2_32B, "bf16"),
    "deepseek-ai/DeepSeek-R1-0528-Qwen3-8B": (QWEN_3_8B, "bf16"),
}


@cache
def known_repository(address: str) -> tuple[Architecture, Precision] | None:
    """Architecture and precision of a repository known by the last two segments of its address.

    Whatever the host that mirrors it.
    """
    return REPOSITORIES.get(owner_and_name(address))
