"""A known model with few of its layers: config.json and a tokenizer; vLLM makes up the weights."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tiny_tokenizer import ALPHABET, SPECIAL, tokenizer, tokenizer_config

from planning.sizing.model_file import WrittenFile, model_of, path_of

SPACE = ALPHABET[ord(" ")]
FIRST_TOKEN = len(SPECIAL)
"""Of the 256 that stand for a byte each."""

TOKENIZER = "words"
"""What a row says that was measured with `tokenizer_of`. Earlier rows say `bytes`: text for 400 tokens only."""

ROUTING = {
    "n_group": 8,
    "topk_group": 4,
    "topk_method": "noaux_tc",
    "scoring_func": "sigmoid",
    "norm_topk_prob": True,
    "routed_scaling_factor": 2.5,
}
YARN = {
    "type": "yarn",
    "factor": 40,
    "beta_fast": 32,
    "beta_slow": 1,
    "mscale": 1.0,
    "mscale_all_dim": 1.0,
    "original_max_position_embeddings": 4096,
}
BLOCK_FP8 = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}


def tokenizer_of(vocabulary: int) -> dict[str, Any]:
    """The content of tokenizer.json: the tiny tokenizer, and a word for each further token of the vocabulary.

    So every token of an answer is text, as a trained model's is. While an answer has no text, vLLM's API server decodes
    its prompt anew for each token (`DecodeStream` of the package tokenizers), and is slower than the GPUs.
    """
    found: dict[str, Any] = tokenizer()
    words: dict[str, int] = found["model"]["vocab"]
    words |= {f"{SPACE}{number}": number for number in range(len(words), vocabulary)}
    return found


CLASSES = {
    "deepseek_v3": "DeepseekV3ForCausalLM",
    "kimi_k2": "DeepseekV3ForCausalLM",
    "deepseek_v32": "DeepseekV32ForCausalLM",
}
"""vLLM's class by what planning/models calls the architecture."""


def write_model(folder: Path, layers: int, repository: str) -> None:
    """Write that model with `layers` of its layers into an existing folder. Raises LookupError, also for its class."""
    model = model_of(repository)
    architecture = replace(model.architecture, num_hidden_layers=layers)
    config: dict[str, object] = {
        **asdict(architecture),
        **ROUTING,
        "architectures": [CLASSES[model.model_type]],
        # Kimi K2's has code of its own in the repository, for the same numbers.
        "model_type": "deepseek_v3" if model.model_type == "kimi_k2" else model.model_type,
        "torch_dtype": "bfloat16",
        "num_key_value_heads": architecture.num_attention_heads,
        "rope_theta": 10000,
        "rope_scaling": YARN,
        "rms_norm_eps": 1e-6,
        "hidden_act": "silu",
        "attention_bias": False,
        "bos_token_id": 0,
        "eos_token_id": 1,
    }
    if quantization := _quantization(repository):
        config["quantization_config"] = quantization
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_of(architecture.vocab_size)))
    longest = architecture.max_position_embeddings
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config(longest)))


def _quantization(repository: str) -> dict[str, Any]:
    path = path_of(repository)
    found = WrittenFile.model_validate_json(path.read_bytes()).quantization if path else None
    if not found:
        return {}
    return BLOCK_FP8 | found if found["quant_method"] == "fp8" else found
