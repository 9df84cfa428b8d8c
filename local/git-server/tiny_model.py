"""A model of DeepSeek-V3's architecture with random weights: 7 MiB, for two CPU cores, answering words without sense.

    python3 tiny_model.py FOLDER

The same seed gives the same bytes. The dimensions of latent attention are the real ones, because kernels need
them; layers, heads, experts and the vocabulary are few.
"""

import json
import random
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import log2, sqrt
from pathlib import Path

from safetensors_file import Tensor, write_safetensors
from tiny_tokenizer import TOKENS, WORDS, tokenizer, tokenizer_config

HIDDEN, HEADS, EXPERTS, LAYERS, VOCABULARY = 128, 4, 8, 4, len(TOKENS)
QUERY_RANK, KEY_VALUE_RANK, NOPE, ROPE, VALUE = 64, 512, 128, 64, 128
DENSE, SPARSE = 256, 64
CONTEXT, SHARDS = 4096, 4
CONSTANT = 16.0
"""What every embedding holds in dimension 0, so that column 0 of the output matrix acts as a bias on each token."""
NEVER = -16.0
"""The output bias of a token that is not to be chosen."""
REMOTE_CODE = {
    "AutoConfig": "configuration_deepseek.DeepseekV3Config",
    "AutoModel": "modeling_deepseek.DeepseekV3Model",
    "AutoModelForCausalLM": "modeling_deepseek.DeepseekV3ForCausalLM",
}
REMOTE_CODE_RAN = "code of the model's repository ran"
CONFIG: dict[str, object] = {
    "architectures": ["DeepseekV3ForCausalLM"],
    "auto_map": REMOTE_CODE,
    "model_type": "deepseek_v3",
    "torch_dtype": "bfloat16",
    "vocab_size": VOCABULARY,
    "max_position_embeddings": CONTEXT,
    "num_hidden_layers": LAYERS,
    "hidden_size": HIDDEN,
    "hidden_act": "silu",
    "intermediate_size": DENSE,
    "moe_intermediate_size": SPARSE,
    "first_k_dense_replace": 1,
    "moe_layer_freq": 1,
    "n_routed_experts": EXPERTS,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "n_group": 2,
    "topk_group": 1,
    "topk_method": "noaux_tc",
    "scoring_func": "sigmoid",
    "norm_topk_prob": True,
    "routed_scaling_factor": 2.5,
    "num_attention_heads": HEADS,
    "num_key_value_heads": HEADS,
    "q_lora_rank": QUERY_RANK,
    "kv_lora_rank": KEY_VALUE_RANK,
    "qk_nope_head_dim": NOPE,
    "qk_rope_head_dim": ROPE,
    "v_head_dim": VALUE,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "rope_theta": 10000,
    "rms_norm_eps": 1e-6,
    "initializer_range": 0.02,
    "tie_word_embeddings": False,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "num_nextn_predict_layers": 0,
    "use_cache": True,
    "ep_size": 1,
}
# Servers take the length of an answer from here when a request names none: a random model would never end by itself.
GENERATION: dict[str, object] = {"bos_token_id": 0, "eos_token_id": 1, "do_sample": True, "max_new_tokens": 48}


def bfloat16(value: float) -> bytes:
    """Return the little-endian BF16 of a power of two, of its negative, or of 0."""
    if not value:
        return b"\0\0"
    return ((value < 0) << 15 | (int(log2(abs(value))) + 127) << 7).to_bytes(2, "little")


class Weights:
    """Tensors of seeded random numbers: random sign and mantissa, an exponent by the number of inputs."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - the same each time

    def matrix(self, name: str, outputs: int, inputs: int, scale: float | None = None) -> Tensor:
        """Return an outputs-by-inputs matrix that about keeps a vector's length, unless `scale` is given."""
        root_mean_square = 1.53  # of ±[1, 2)
        exponent = round(log2((scale or 1 / sqrt(inputs)) / root_mean_square)) + 127
        data = bytearray(self.random.randbytes(2 * outputs * inputs))
        data[0::2] = data[0::2].translate(bytes(b & 0x7F | (exponent & 1) << 7 for b in range(256)))
        data[1::2] = data[1::2].translate(bytes(b & 0x80 | exponent >> 1 for b in range(256)))
        return Tensor(name, "BF16", (outputs, inputs), data)

    def vocabulary(self, name: str, column_0: Sequence[float], scale: float | None = None) -> Tensor:
        """Return a vocabulary-by-hidden matrix whose first column is given."""
        tensor = self.matrix(name, len(column_0), HIDDEN, scale)
        for row, value in enumerate(column_0):
            tensor.data[2 * HIDDEN * row : 2 * HIDDEN * row + 2] = bfloat16(value)
        return tensor


def norm(name: str, size: int) -> Tensor:
    """Return the weights of a normalisation: ones."""
    return Tensor(name, "BF16", (size,), bytearray(bfloat16(1) * size))


def gated(weights: Weights, prefix: str, size: int) -> Iterator[Tensor]:
    """Return one feed-forward network."""
    yield weights.matrix(f"{prefix}.gate_proj.weight", size, HIDDEN)
    yield weights.matrix(f"{prefix}.up_proj.weight", size, HIDDEN)
    yield weights.matrix(f"{prefix}.down_proj.weight", HIDDEN, size)


def attention(weights: Weights, prefix: str) -> Iterator[Tensor]:
    """Return one multi-head latent attention."""
    yield weights.matrix(f"{prefix}.q_a_proj.weight", QUERY_RANK, HIDDEN)
    yield norm(f"{prefix}.q_a_layernorm.weight", QUERY_RANK)
    yield weights.matrix(f"{prefix}.q_b_proj.weight", HEADS * (NOPE + ROPE), QUERY_RANK)
    yield weights.matrix(f"{prefix}.kv_a_proj_with_mqa.weight", KEY_VALUE_RANK + ROPE, HIDDEN)
    yield norm(f"{prefix}.kv_a_layernorm.weight", KEY_VALUE_RANK)
    yield weights.matrix(f"{prefix}.kv_b_proj.weight", HEADS * (NOPE + VALUE), KEY_VALUE_RANK)
    yield weights.matrix(f"{prefix}.o_proj.weight", HIDDEN, HEADS * VALUE)


def experts(weights: Weights, prefix: str) -> Iterator[Tensor]:
    """Return one mixture of experts; the correction bias is zero."""
    yield weights.matrix(f"{prefix}.gate.weight", EXPERTS, HIDDEN)
    yield Tensor(f"{prefix}.gate.e_score_correction_bias", "F32", (EXPERTS,), bytearray(4 * EXPERTS))
    for expert in range(EXPERTS):
        yield from gated(weights, f"{prefix}.experts.{expert}", SPARSE)
    yield from gated(weights, f"{prefix}.shared_experts", SPARSE)


def layer(weights: Weights, number: int) -> Iterator[Tensor]:
    """Return one layer; the first is dense."""
    prefix = f"model.layers.{number}"
    yield norm(f"{prefix}.input_layernorm.weight", HIDDEN)
    yield from attention(weights, f"{prefix}.self_attn")
    yield norm(f"{prefix}.post_attention_layernorm.weight", HIDDEN)
    yield from gated(weights, f"{prefix}.mlp", DENSE) if number == 0 else experts(weights, f"{prefix}.mlp")


def tensors(seed: int) -> Iterator[Tensor]:
    """Return all tensors under the names of DeepSeek-V3's checkpoint. Only words can be chosen."""
    weights = Weights(seed)
    yield weights.vocabulary("model.embed_tokens.weight", [CONSTANT] * VOCABULARY, scale=1.0)
    for number in range(LAYERS):
        yield from layer(weights, number)
    yield norm("model.norm.weight", HIDDEN)
    yield weights.vocabulary("lm_head.weight", [0.0 if token in WORDS else NEVER for token in TOKENS])


def write_model(folder: Path, seed: int = 0) -> None:
    """Write the repository, with code that must not run."""
    write_repository(folder, CONFIG, tensors(seed))
    for module in {name.partition(".")[0] for name in REMOTE_CODE.values()}:
        (folder / f"{module}.py").write_text(f'raise ImportError("{REMOTE_CODE_RAN}")\n')


def write_repository(folder: Path, config: Mapping[str, object], weights: Iterable[Tensor]) -> None:
    """Write the configuration, the tokenizer, and the weights in shards with their index."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    write_json(folder / "generation_config.json", GENERATION)
    write_json(folder / "tokenizer.json", tokenizer())
    write_json(folder / "tokenizer_config.json", tokenizer_config(CONTEXT))
    write_shards(folder, list(weights))


def write_shards(folder: Path, every: Sequence[Tensor]) -> None:
    """Spread the tensors over SHARDS files, and write the index that says which is where."""
    per_shard = -(-len(every) // SHARDS)
    places: dict[str, str] = {}
    for number in range(SHARDS):
        name = f"model-{number + 1:05}-of-{SHARDS:05}.safetensors"
        shard = every[number * per_shard : (number + 1) * per_shard]
        write_safetensors(folder / name, shard)
        places |= {tensor.name: name for tensor in shard}
    total = sum(len(tensor.data) for tensor in every)
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": places})


def write_json(path: Path, content: object) -> None:
    """Write a document for people and programs."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_model(Path(sys.argv[1]))
