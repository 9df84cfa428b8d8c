"""Two siblings of the tiny model, whose memory is counted otherwise: one in INT4, one with grouped-query attention.

    python3 tiny_siblings.py FOLDER

`int4` is the tiny model with its linear layers in four bits (compressed-tensors, W4A16); its experts stay in BF16,
because vLLM computes experts in INT4 on CPUs with AMX only. `grouped` is of Llama's architecture.
"""

import re
import sys
from collections.abc import Iterator
from math import log2, sqrt
from pathlib import Path

import tiny_model
from safetensors_file import Tensor
from tiny_model import CONSTANT, CONTEXT, HIDDEN, LAYERS, NEVER, Weights, bfloat16, gated, norm
from tiny_tokenizer import TOKENS, WORDS

VOCABULARY = -(-len(TOKENS) // 64) * 64
"""Tokens that the model has a row for; vLLM pads other numbers to such a one."""
GROUP = 32
"""Weights of INT4 that share one scale."""
PACKED = re.compile(r"(.*\.(?:self_attn\.\w+_proj\w*|mlp\.(?:shared_experts\.)?(?:gate|up|down)_proj))\.weight")
INT4_CONFIG: dict[str, object] = {
    **{key: value for key, value in tiny_model.CONFIG.items() if key != "auto_map"},
    "vocab_size": VOCABULARY,
    "quantization_config": {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "quantization_status": "compressed",
        "config_groups": {
            "group_0": {
                "targets": ["Linear"],
                "weights": {
                    "num_bits": 4,
                    "type": "int",
                    "symmetric": True,
                    "strategy": "group",
                    "group_size": GROUP,
                },
            }
        },
        "ignore": ["lm_head", r"re:.*mlp\.gate$", r"re:.*mlp\.experts\..*"],
    },
}
HEADS, KEY_HEADS, HEAD_WIDTH, DENSE = 4, 2, 64, 256
GROUPED_CONFIG: dict[str, object] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "torch_dtype": "bfloat16",
    "vocab_size": VOCABULARY,
    "max_position_embeddings": CONTEXT,
    "num_hidden_layers": LAYERS,
    "hidden_size": HIDDEN,
    "hidden_act": "silu",
    "intermediate_size": DENSE,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KEY_HEADS,
    "head_dim": HEAD_WIDTH,
    "attention_bias": False,
    "mlp_bias": False,
    "rope_theta": 10000,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "use_cache": True,
}


def int4_tensors(seed: int) -> Iterator[Tensor]:
    """Return the tensors of the tiny model, each linear layer as four-bit numbers with scales."""
    weights = Weights(seed)
    yield embedding(weights)
    for number in range(LAYERS):
        for tensor in tiny_model.layer(weights, number):
            linear = PACKED.fullmatch(tensor.name)
            yield from packed(weights, linear[1], *tensor.shape) if linear else [tensor]
    yield norm("model.norm.weight", HIDDEN)
    yield head(weights)


def embedding(weights: Weights) -> Tensor:
    """Return the embedding of every token."""
    return weights.vocabulary("model.embed_tokens.weight", [CONSTANT] * VOCABULARY, scale=1.0)


def head(weights: Weights) -> Tensor:
    """Return the output matrix. Only words can be chosen."""
    biases = [0.0 if token in WORDS else NEVER for token in TOKENS]
    return weights.vocabulary("lm_head.weight", biases + [NEVER] * (VOCABULARY - len(TOKENS)))


def packed(weights: Weights, name: str, outputs: int, inputs: int) -> Iterator[Tensor]:
    """Return a linear layer as `pack-quantized` has it: eight numbers in 32 bits, a scale for GROUP of them."""
    root_mean_square = 4.6  # of the numbers -8 to 7
    scale = bfloat16(2.0 ** round(log2(1 / sqrt(inputs) / root_mean_square)))
    size = outputs * inputs
    yield Tensor(f"{name}.weight_packed", "I32", (outputs, inputs // 8), bytearray(weights.random.randbytes(size // 2)))
    yield Tensor(f"{name}.weight_scale", "BF16", (outputs, inputs // GROUP), bytearray(scale * (size // GROUP)))
    shape = bytearray(b"".join(number.to_bytes(8, "little") for number in (outputs, inputs)))
    yield Tensor(f"{name}.weight_shape", "I64", (2,), shape)


def grouped_tensors(seed: int) -> Iterator[Tensor]:
    """Return all tensors under the names of Llama's checkpoints."""
    weights = Weights(seed)
    yield embedding(weights)
    for number in range(LAYERS):
        prefix = f"model.layers.{number}"
        yield norm(f"{prefix}.input_layernorm.weight", HIDDEN)
        yield weights.matrix(f"{prefix}.self_attn.q_proj.weight", HEADS * HEAD_WIDTH, HIDDEN)
        yield weights.matrix(f"{prefix}.self_attn.k_proj.weight", KEY_HEADS * HEAD_WIDTH, HIDDEN)
        yield weights.matrix(f"{prefix}.self_attn.v_proj.weight", KEY_HEADS * HEAD_WIDTH, HIDDEN)
        yield weights.matrix(f"{prefix}.self_attn.o_proj.weight", HIDDEN, HEADS * HEAD_WIDTH)
        yield norm(f"{prefix}.post_attention_layernorm.weight", HIDDEN)
        yield from gated(weights, f"{prefix}.mlp", DENSE)
    yield norm("model.norm.weight", HIDDEN)
    yield head(weights)


def write_siblings(folder: Path, seed: int = 0) -> dict[str, Path]:
    """Write each into a folder of its own; returns these by name."""
    folders = {name: folder / name for name in ("int4", "grouped")}
    tiny_model.write_repository(folders["int4"], INT4_CONFIG, int4_tensors(seed))
    tiny_model.write_repository(folders["grouped"], GROUPED_CONFIG, grouped_tensors(seed))
    return folders


if __name__ == "__main__":
    write_siblings(Path(sys.argv[1]))
