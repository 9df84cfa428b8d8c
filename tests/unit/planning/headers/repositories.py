"""Repositories of full size on disks without room: files of safetensors whose tensors are holes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from planning.headers.safetensors import BITS
from planning.sizing.architectures.latent_attention import LatentAttention

Tensors = Mapping[str, tuple[str, tuple[int, ...]]]
"""Type and shape by name."""


def header_of(tensors: Tensors) -> tuple[dict[str, Any], int]:
    """The header of a file of these tensors, and the bytes that they take."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (kind, shape) in tensors.items():
        size = BITS[kind] // 4
        for dimension in shape:
            size *= dimension
        begin, end = end, end + size // 2
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [begin, end]}
    return header, end


def write(path: Path, tensors: Tensors) -> None:
    header, size = header_of(tensors)
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + size)


def write_repository(folder: Path, config: Mapping[str, Any], tensors: Tensors) -> None:
    """In one file, without an index."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    write(folder / "model.safetensors", tensors)


LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 1024,
    "max_position_embeddings": 2048,
}
INT4: dict[str, Any] = {
    "quant_method": "compressed-tensors",
    "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "int", "group_size": 32}}},
}


def llama(packed: tuple[str, ...] = ()) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Tensors of LLAMA; those projections whose names are given in 4 bits, 8 in an element, with scales of 32."""
    hidden, wide = 256, 512
    linear = {
        "self_attn.q_proj": (hidden, hidden),
        "self_attn.k_proj": (64, hidden),
        "self_attn.v_proj": (64, hidden),
        "self_attn.o_proj": (hidden, hidden),
        "mlp.gate_proj": (wide, hidden),
        "mlp.up_proj": (wide, hidden),
        "mlp.down_proj": (hidden, wide),
    }
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {"model.embed_tokens.weight": ("BF16", (1024, hidden))}
    for layer in range(2):
        prefix = f"model.layers.{layer}"
        tensors[f"{prefix}.input_layernorm.weight"] = ("BF16", (hidden,))
        tensors[f"{prefix}.post_attention_layernorm.weight"] = ("BF16", (hidden,))
        for name, (outputs, inputs) in linear.items():
            if name in packed:
                tensors[f"{prefix}.{name}.weight_packed"] = ("I32", (outputs, inputs // 8))
                tensors[f"{prefix}.{name}.weight_scale"] = ("BF16", (outputs, inputs // 32))
                tensors[f"{prefix}.{name}.weight_shape"] = ("I64", (2,))
            else:
                tensors[f"{prefix}.{name}.weight"] = ("BF16", (outputs, inputs))
    return tensors | {"model.norm.weight": ("BF16", (hidden,)), "lm_head.weight": ("BF16", (1024, hidden))}


QUARK: dict[str, Any] = {
    "quant_method": "quark",
    "global_quant_config": {
        "weight": {"dtype": "fp4", "qscheme": "per_group", "group_size": 32, "scale_format": "e8m0"},
        "input_tensors": {"dtype": "fp4", "qscheme": "per_group", "group_size": 32, "is_dynamic": True},
    },
    "exclude": ["lm_head", "*self_attn*"],
}
"""As AMD's tool writes it for weights and activations in MXFP4."""


def quark(tensors: Tensors) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The tensors with the experts in MXFP4: two weights in a byte, and a scale in a byte for 32 of them."""
    stored: dict[str, tuple[str, tuple[int, ...]]] = {}
    for name, (kind, shape) in tensors.items():
        if ".experts." in name:
            outputs, inputs = shape
            stored[name] = ("U8", (outputs, inputs // 2))
            stored[f"{name}_scale"] = ("U8", (outputs, inputs // 32))
        else:
            stored[name] = (kind, shape)
    return stored


GPT_OSS: dict[str, Any] = {
    "architectures": ["GptOssForCausalLM"],
    "model_type": "gpt_oss",
    "hidden_size": 320,
    "intermediate_size": 192,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "vocab_size": 1024,
    "max_position_embeddings": 2048,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "experts_per_token": 2,
    "sliding_window": 128,
    "quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn"]},
}


def gpt_oss() -> dict[str, tuple[str, tuple[int, ...]]]:
    """Tensors of GPT_OSS, named as in the index of openai/gpt-oss-20b."""
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {"model.embed_tokens.weight": ("BF16", (1024, 320))}
    for layer in range(3):
        shapes: dict[str, tuple[str, tuple[int, ...]]] = {
            "input_layernorm.weight": ("BF16", (320,)),
            "post_attention_layernorm.weight": ("BF16", (320,)),
            "self_attn.q_proj.weight": ("BF16", (512, 320)),
            "self_attn.q_proj.bias": ("BF16", (512,)),
            "self_attn.k_proj.weight": ("BF16", (128, 320)),
            "self_attn.k_proj.bias": ("BF16", (128,)),
            "self_attn.v_proj.weight": ("BF16", (128, 320)),
            "self_attn.v_proj.bias": ("BF16", (128,)),
            "self_attn.o_proj.weight": ("BF16", (320, 512)),
            "self_attn.o_proj.bias": ("BF16", (320,)),
            "self_attn.sinks": ("BF16", (8,)),
            "mlp.router.weight": ("BF16", (4, 320)),
            "mlp.router.bias": ("BF16", (4,)),
            "mlp.experts.gate_up_proj_blocks": ("U8", (4, 384, 10, 16)),
            "mlp.experts.gate_up_proj_scales": ("U8", (4, 384, 10)),
            "mlp.experts.gate_up_proj_bias": ("BF16", (4, 384)),
            "mlp.experts.down_proj_blocks": ("U8", (4, 320, 6, 16)),
            "mlp.experts.down_proj_scales": ("U8", (4, 320, 6)),
            "mlp.experts.down_proj_bias": ("BF16", (4, 320)),
        }
        tensors |= {f"model.layers.{layer}.{name}": tensor for name, tensor in shapes.items()}
    return tensors | {"model.norm.weight": ("BF16", (320,)), "lm_head.weight": ("BF16", (1024, 320))}


def deepseek_fp8(a: LatentAttention) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Tensors of a model of that architecture in FP8, in blocks of 128 × 128, as DeepSeek-V3 stores them."""
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}

    def linear(name: str, outputs: int, inputs: int) -> None:
        tensors[f"{name}.weight"] = ("F8_E4M3", (outputs, inputs))
        tensors[f"{name}.weight_scale_inv"] = ("F32", (-(-outputs // 128), -(-inputs // 128)))

    def gated(name: str, size: int) -> None:
        linear(f"{name}.gate_proj", size, a.hidden_size)
        linear(f"{name}.up_proj", size, a.hidden_size)
        linear(f"{name}.down_proj", a.hidden_size, size)

    heads, hidden, rank = a.num_attention_heads, a.hidden_size, a.q_lora_rank or 0
    tensors["model.embed_tokens.weight"] = ("BF16", (a.vocab_size, hidden))
    for index in range(a.num_hidden_layers):
        layer = f"model.layers.{index}"
        attention = f"{layer}.self_attn"
        for name, size in {
            f"{layer}.input_layernorm": hidden,
            f"{layer}.post_attention_layernorm": hidden,
            f"{attention}.q_a_layernorm": rank,
            f"{attention}.kv_a_layernorm": a.kv_lora_rank,
        }.items():
            tensors[f"{name}.weight"] = ("BF16", (size,))
        linear(f"{attention}.q_a_proj", rank, hidden)
        linear(f"{attention}.q_b_proj", heads * (a.qk_nope_head_dim + a.qk_rope_head_dim), rank)
        linear(f"{attention}.kv_a_proj_with_mqa", a.latent_width, hidden)
        linear(f"{attention}.kv_b_proj", heads * (a.qk_nope_head_dim + a.v_head_dim), a.kv_lora_rank)
        linear(f"{attention}.o_proj", hidden, heads * a.v_head_dim)
        if not a.is_moe(index):
            gated(f"{layer}.mlp", a.intermediate_size)
            continue
        tensors[f"{layer}.mlp.gate.weight"] = ("BF16", (a.n_routed_experts or 0, hidden))
        tensors[f"{layer}.mlp.gate.e_score_correction_bias"] = ("F32", (a.n_routed_experts or 0,))
        gated(f"{layer}.mlp.shared_experts", a.moe_intermediate_size)
        for expert in range(a.n_routed_experts or 0):
            gated(f"{layer}.mlp.experts.{expert}", a.moe_intermediate_size)
    return tensors | {"model.norm.weight": ("BF16", (hidden,)), "lm_head.weight": ("BF16", (a.vocab_size, hidden))}
