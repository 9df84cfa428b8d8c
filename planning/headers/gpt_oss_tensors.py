"""Tensors that a repository of GPT-OSS has, by the numbers of its config.json.

Source: `weight_map` in the index of openai/gpt-oss-20b for the names; vLLM's `model_executor/models/gpt_oss.py` for the
shapes.
"""

from collections.abc import Iterator

from planning.headers.safetensors import Tensor
from planning.sizing.architectures.gpt_oss import GptOss
from planning.sizing.mxfp4_experts import GROUP


def gpt_oss_tensors(a: GptOss) -> Iterator[Tensor]:
    """All tensors: experts in MXFP4, everything else in BF16."""
    yield _plain("model.embed_tokens.weight", a.vocab_size, a.hidden_size)
    for index in range(a.num_hidden_layers):
        yield from _layer(a, f"model.layers.{index}")
    yield _plain("model.norm.weight", a.hidden_size)
    yield _plain("lm_head.weight", a.vocab_size, a.hidden_size)


def _plain(name: str, *shape: int) -> Tensor:
    return Tensor(name, "BF16", shape)


def _layer(a: GptOss, layer: str) -> Iterator[Tensor]:
    hidden, experts = a.hidden_size, a.num_local_experts
    queries, keys = a.num_attention_heads * a.head_dim, a.num_key_value_heads * a.head_dim
    yield _plain(f"{layer}.input_layernorm.weight", hidden)
    yield _plain(f"{layer}.post_attention_layernorm.weight", hidden)
    yield _plain(f"{layer}.self_attn.sinks", a.num_attention_heads)
    for name, outputs, inputs in (
        ("self_attn.q_proj", queries, hidden),
        ("self_attn.k_proj", keys, hidden),
        ("self_attn.v_proj", keys, hidden),
        ("self_attn.o_proj", hidden, queries),
        ("mlp.router", experts, hidden),
    ):
        yield _plain(f"{layer}.{name}.weight", outputs, inputs)
        yield _plain(f"{layer}.{name}.bias", outputs)
    for name, outputs, inputs in (
        ("gate_up_proj", 2 * a.intermediate_size, hidden),
        ("down_proj", hidden, a.intermediate_size),
    ):
        groups = inputs // GROUP
        yield _plain(f"{layer}.mlp.experts.{name}_bias", experts, outputs)
        yield Tensor(f"{layer}.mlp.experts.{name}_blocks", "U8", (experts, outputs, groups, GROUP // 2))
        yield Tensor(f"{layer}.mlp.experts.{name}_scales", "U8", (experts, outputs, groups))
