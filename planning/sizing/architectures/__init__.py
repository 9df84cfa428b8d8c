"""The architectures that the plan knows, by `model_type` of config.json. Any other model is served without a plan."""

from planning.sizing.architecture import Architecture
from planning.sizing.architectures.gpt_oss import GptOss
from planning.sizing.architectures.grouped_attention import Llama, Qwen2, Qwen3
from planning.sizing.architectures.latent_attention import LatentAttention
from planning.sizing.architectures.sparse_latent_attention import SparseLatentAttention

ARCHITECTURES: dict[str, type[Architecture]] = {
    "deepseek_v2": LatentAttention,
    "deepseek_v3": LatentAttention,
    "deepseek_v32": SparseLatentAttention,
    "glm_moe_dsa": SparseLatentAttention,
    "gpt_oss": GptOss,
    "kimi_k2": LatentAttention,
    "llama": Llama,
    "qwen2": Qwen2,
    "qwen3": Qwen3,
}
