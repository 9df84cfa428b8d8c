"""A checkpoint of DeepSeek-V3's architecture and layout of files, narrow enough for a small machine: 8.65 GB."""

import json
import random
from collections.abc import Iterator
from math import prod
from pathlib import Path

from safetensors_file import Tensor, write_safetensors
from tiny_model import CONFIG as TINY
from tiny_tokenizer import tokenizer, tokenizer_config

HIDDEN, LAYERS, EXPERTS, SPARSE, VOCABULARY, HEADS = 2048, 10, 64, 1024, 32768, 16
QUERY_RANK, KEY_VALUE_RANK, NOPE, ROPE, VALUE = 512, 512, 128, 64, 128
FILES = 27
"""As many a layer as DeepSeek-V3's 163 for 61, and in the order of the layers, as there."""

STEP = 64
"""Bytes from the beginning of one tensor's random numbers to that of the next."""

CONFIG: dict[str, object] = {
    **{key: value for key, value in TINY.items() if key != "auto_map"},
    "hidden_size": HIDDEN,
    "num_hidden_layers": LAYERS,
    "n_routed_experts": EXPERTS,
    "moe_intermediate_size": SPARSE,
    "intermediate_size": SPARSE,
    "first_k_dense_replace": 0,
    "vocab_size": VOCABULARY,
    "num_attention_heads": HEADS,
    "num_key_value_heads": HEADS,
    "q_lora_rank": QUERY_RANK,
}

Shape = tuple[int, ...]


def shapes() -> Iterator[tuple[str, Shape]]:
    """Return the tensors in the order of the checkpoint; all are BF16."""
    yield "model.embed_tokens.weight", (VOCABULARY, HIDDEN)
    for number in range(LAYERS):
        prefix = f"model.layers.{number}"
        attention = f"{prefix}.self_attn"
        yield f"{prefix}.input_layernorm.weight", (HIDDEN,)
        yield f"{attention}.q_a_proj.weight", (QUERY_RANK, HIDDEN)
        yield f"{attention}.q_a_layernorm.weight", (QUERY_RANK,)
        yield f"{attention}.q_b_proj.weight", (HEADS * (NOPE + ROPE), QUERY_RANK)
        yield f"{attention}.kv_a_proj_with_mqa.weight", (KEY_VALUE_RANK + ROPE, HIDDEN)
        yield f"{attention}.kv_a_layernorm.weight", (KEY_VALUE_RANK,)
        yield f"{attention}.kv_b_proj.weight", (HEADS * (NOPE + VALUE), KEY_VALUE_RANK)
        yield f"{attention}.o_proj.weight", (HIDDEN, HEADS * VALUE)
        yield f"{prefix}.post_attention_layernorm.weight", (HIDDEN,)
        yield f"{prefix}.mlp.gate.weight", (EXPERTS, HIDDEN)
        yield f"{prefix}.mlp.gate.e_score_correction_bias", (EXPERTS,)
        for name in (*(f"experts.{number}" for number in range(EXPERTS)), "shared_experts"):
            yield f"{prefix}.mlp.{name}.gate_proj.weight", (SPARSE, HIDDEN)
            yield f"{prefix}.mlp.{name}.up_proj.weight", (SPARSE, HIDDEN)
            yield f"{prefix}.mlp.{name}.down_proj.weight", (HIDDEN, SPARSE)
    yield "model.norm.weight", (HIDDEN,)
    yield "lm_head.weight", (VOCABULARY, HIDDEN)


def write_model(folder: Path) -> int:
    """Write the checkpoint into an existing folder; return the bytes of its tensors."""
    every = list(shapes())
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer()))
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config(4096)))
    largest = max(_bytes_of(shape) for _, shape in every)
    block = random.Random(0).randbytes(largest + STEP * len(every))  # noqa: S311 - the same each time
    total = sum(_bytes_of(shape) for _, shape in every)
    places: dict[str, str] = {}
    left = iter(enumerate(every))
    for number in range(1, FILES + 1):
        name = f"model-{number:05}-of-{FILES:05}.safetensors"
        shard: list[Tensor] = []
        while sum(len(tensor.data) for tensor in shard) < total / FILES and (following := next(left, None)):
            number_of_it, (tensor_name, shape) = following
            begin = STEP * number_of_it
            shard.append(Tensor(tensor_name, "BF16", shape, bytearray(block[begin : begin + _bytes_of(shape)])))
        write_safetensors(folder / name, shard)
        places |= {tensor.name: name for tensor in shard}
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return total


def _bytes_of(shape: Shape) -> int:
    return 2 * prod(shape)
