"""A model of DeepSeek-V3's dimensions with few layers: config.json and a tokenizer; vLLM makes up the weights."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tiny_tokenizer import ALPHABET, SPECIAL, tokenizer, tokenizer_config

from planning.sizing.matrices import Precision
from planning.sizing.model_file import architecture_of

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


def write_model(folder: Path, layers: int, precision: Precision) -> None:
    """Write a model of `layers` layers, the first three dense, into an existing folder."""
    architecture = replace(architecture_of("deepseek-ai/DeepSeek-V3"), num_hidden_layers=layers)
    config: dict[str, object] = {
        **asdict(architecture),
        **ROUTING,
        "architectures": ["DeepseekV3ForCausalLM"],
        "model_type": "deepseek_v3",
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
    if precision == "fp8":
        config["quantization_config"] = BLOCK_FP8
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_of(architecture.vocab_size)))
    longest = architecture.max_position_embeddings
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer_config(longest)))
