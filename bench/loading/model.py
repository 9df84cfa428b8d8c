"""Checkpoints of DeepSeek-V3's architecture and layout of files."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

from safetensors_file import Tensor, write_safetensors
from tiny_model import CONFIG as TINY
from tiny_tokenizer import tokenizer, tokenizer_config

STEP = 64
"""Bytes from the beginning of one tensor's random numbers to that of the next."""

PART = (1 << 24) + STEP
"""Bytes after which the random numbers begin again."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """How large it is. All layers have experts."""

    layers: int
    files: int
    """As many a layer as DeepSeek-V3's 163 for 61, and in the order of the layers, as there."""

    hidden: int
    experts: int
    sparse: int
    """Intermediate size of an expert."""

    vocabulary: int
    heads: int
    query_rank: int

    def config(self) -> dict[str, object]:
        """Return what config.json has."""
        return {
            **{key: value for key, value in TINY.items() if key != "auto_map"},
            "hidden_size": self.hidden,
            "num_hidden_layers": self.layers,
            "n_routed_experts": self.experts,
            "moe_intermediate_size": self.sparse,
            "intermediate_size": self.sparse,
            "first_k_dense_replace": 0,
            "vocab_size": self.vocabulary,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.heads,
            "q_lora_rank": self.query_rank,
        }


NARROW = Model(layers=10, files=27, hidden=2048, experts=64, sparse=1024, vocabulary=32768, heads=16, query_rank=512)
"""8.65 GB, for a small machine."""

WIDE = Model(layers=4, files=11, hidden=7168, experts=160, sparse=2048, vocabulary=129280, heads=128, query_rank=1536)
"""61.9 GB: DeepSeek-V3's widths, with fewer experts."""

KEY_VALUE_RANK, NOPE, ROPE, VALUE = 512, 128, 64, 128
Shape = tuple[int, ...]


def shapes(model: Model) -> Iterator[tuple[str, Shape]]:
    """Return the tensors in the order of the checkpoint; all are BF16."""
    hidden, heads = model.hidden, model.heads
    yield "model.embed_tokens.weight", (model.vocabulary, hidden)
    for number in range(model.layers):
        prefix = f"model.layers.{number}"
        attention = f"{prefix}.self_attn"
        yield f"{prefix}.input_layernorm.weight", (hidden,)
        yield f"{attention}.q_a_proj.weight", (model.query_rank, hidden)
        yield f"{attention}.q_a_layernorm.weight", (model.query_rank,)
        yield f"{attention}.q_b_proj.weight", (heads * (NOPE + ROPE), model.query_rank)
        yield f"{attention}.kv_a_proj_with_mqa.weight", (KEY_VALUE_RANK + ROPE, hidden)
        yield f"{attention}.kv_a_layernorm.weight", (KEY_VALUE_RANK,)
        yield f"{attention}.kv_b_proj.weight", (heads * (NOPE + VALUE), KEY_VALUE_RANK)
        yield f"{attention}.o_proj.weight", (hidden, heads * VALUE)
        yield f"{prefix}.post_attention_layernorm.weight", (hidden,)
        yield f"{prefix}.mlp.gate.weight", (model.experts, hidden)
        yield f"{prefix}.mlp.gate.e_score_correction_bias", (model.experts,)
        for name in (*(f"experts.{expert}" for expert in range(model.experts)), "shared_experts"):
            yield f"{prefix}.mlp.{name}.gate_proj.weight", (model.sparse, hidden)
            yield f"{prefix}.mlp.{name}.up_proj.weight", (model.sparse, hidden)
            yield f"{prefix}.mlp.{name}.down_proj.weight", (hidden, model.sparse)
    yield "model.norm.weight", (hidden,)
    yield "lm_head.weight", (model.vocabulary, hidden)


def write_model(folder: Path, model: Model) -> int:
    """Write the checkpoint into an existing folder; return the bytes of its tensors."""
    every = list(shapes(model))
    (folder / "config.json").write_text(json.dumps(model.config()))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer()))
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config(4096)))
    largest = max(_bytes_of(shape) for _, shape in every)
    needed = largest + STEP * len(every)
    part = random.Random(0).randbytes(PART)  # noqa: S311 - the same each time
    block = memoryview(part * (needed // PART + 1))
    total = sum(_bytes_of(shape) for _, shape in every)
    places: dict[str, str] = {}
    left = iter(enumerate(every))
    for number in range(1, model.files + 1):
        name = f"model-{number:05}-of-{model.files:05}.safetensors"
        shard: list[Tensor] = []
        while sum(len(tensor.data) for tensor in shard) < total / model.files and (following := next(left, None)):
            number_of_it, (tensor_name, shape) = following
            begin = STEP * number_of_it
            shard.append(Tensor(tensor_name, "BF16", shape, block[begin : begin + _bytes_of(shape)]))
        write_safetensors(folder / name, shard)
        places |= {tensor.name: name for tensor in shard}
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return total


def _bytes_of(shape: Shape) -> int:
    return 2 * prod(shape)
