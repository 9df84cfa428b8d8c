"""Tensors that a repository of latent attention has, by the numbers and the quantization of its config.json.

For repositories whose files are not at hand: `python -m planning.headers.derived FILE…` adds them up into derived files
of planning/models, as `make model` does with tensors that it has read.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, cast

from planning.headers.gpt_oss_tensors import gpt_oss_tensors
from planning.headers.safetensors import Tensor
from planning.headers.summary import EXPERT, Found, model_file
from planning.sizing.architectures import ARCHITECTURES
from planning.sizing.architectures.gpt_oss import GptOss
from planning.sizing.architectures.latent_attention import LatentAttention
from planning.sizing.architectures.sparse_latent_attention import SparseLatentAttention
from planning.sizing.matrices import FP8_BLOCK

Quantization = Mapping[str, Any]
LinearLayer = Callable[[str, int, int], Iterator[Tensor]]
"""The tensors of a linear layer with that name, so many outputs and so many inputs."""
NVFP4_GROUP = 16
"""Weights of NVFP4 that share one scale."""


def tensors_of(a: LatentAttention, quantization: Quantization | None) -> Iterator[Tensor]:
    """All tensors, the layers that predict further tokens included."""
    linear = linear_layer(quantization or {})
    yield _plain("model.embed_tokens.weight", a.vocab_size, a.hidden_size)
    for index in range(a.num_hidden_layers + a.num_nextn_predict_layers):
        yield from _layer(a, index, linear)
    yield _plain("model.norm.weight", a.hidden_size)
    yield _plain("lm_head.weight", a.vocab_size, a.hidden_size)


def _plain(name: str, *shape: int) -> Tensor:
    return Tensor(name, "BF16", shape)


def _layer(a: LatentAttention, index: int, linear: LinearLayer) -> Iterator[Tensor]:
    layer = f"model.layers.{index}"
    predicts = index >= a.num_hidden_layers
    yield _plain(f"{layer}.input_layernorm.weight", a.hidden_size)
    yield _plain(f"{layer}.post_attention_layernorm.weight", a.hidden_size)
    yield from _attention(a, f"{layer}.self_attn", linear)
    if isinstance(a, SparseLatentAttention) and a.has_indexer(index):
        yield from _indexer(a, f"{layer}.self_attn.indexer", linear)
    if not (a.is_moe(index) or (predicts and a.n_routed_experts)):
        yield from _gated(f"{layer}.mlp", a.hidden_size, a.intermediate_size, linear)
    else:
        experts = a.n_routed_experts or 0
        yield _plain(f"{layer}.mlp.gate.weight", experts, a.hidden_size)
        yield Tensor(f"{layer}.mlp.gate.e_score_correction_bias", "F32", (experts,))
        if a.n_shared_experts:
            wide = a.moe_intermediate_size * a.n_shared_experts
            yield from _gated(f"{layer}.mlp.shared_experts", a.hidden_size, wide, linear)
        for expert in range(experts):
            yield from _gated(f"{layer}.mlp.experts.{expert}", a.hidden_size, a.moe_intermediate_size, linear)
    if predicts:
        for name in ("enorm", "hnorm", "shared_head.norm"):
            yield _plain(f"{layer}.{name}.weight", a.hidden_size)
        yield _plain(f"{layer}.eh_proj.weight", a.hidden_size, 2 * a.hidden_size)
        yield _plain(f"{layer}.embed_tokens.weight", a.vocab_size, a.hidden_size)
        yield _plain(f"{layer}.shared_head.head.weight", a.vocab_size, a.hidden_size)


def _attention(a: LatentAttention, name: str, linear: LinearLayer) -> Iterator[Tensor]:
    heads = a.num_attention_heads
    queries = heads * (a.qk_nope_head_dim + a.qk_rope_head_dim)
    if a.q_lora_rank is None:
        yield from linear(f"{name}.q_proj", queries, a.hidden_size)
    else:
        yield from linear(f"{name}.q_a_proj", a.q_lora_rank, a.hidden_size)
        yield _plain(f"{name}.q_a_layernorm.weight", a.q_lora_rank)
        yield from linear(f"{name}.q_b_proj", queries, a.q_lora_rank)
    yield from linear(f"{name}.kv_a_proj_with_mqa", a.latent_width, a.hidden_size)
    yield _plain(f"{name}.kv_a_layernorm.weight", a.kv_lora_rank)
    yield from linear(f"{name}.kv_b_proj", heads * (a.qk_nope_head_dim + a.v_head_dim), a.kv_lora_rank)
    yield from linear(f"{name}.o_proj", a.hidden_size, heads * a.v_head_dim)


def _indexer(a: SparseLatentAttention, name: str, linear: LinearLayer) -> Iterator[Tensor]:
    yield from linear(f"{name}.wq_b", a.index_n_heads * a.index_head_dim, a.q_lora_rank or 0)
    yield from linear(f"{name}.wk", a.index_head_dim, a.hidden_size)
    yield _plain(f"{name}.weights_proj.weight", a.index_n_heads, a.hidden_size)
    for part in ("weight", "bias"):
        yield Tensor(f"{name}.k_norm.{part}", "F32", (a.index_head_dim,))


def _gated(name: str, hidden: int, intermediate: int, linear: LinearLayer) -> Iterator[Tensor]:
    yield from linear(f"{name}.gate_proj", intermediate, hidden)
    yield from linear(f"{name}.up_proj", intermediate, hidden)
    yield from linear(f"{name}.down_proj", hidden, intermediate)


def linear_layer(quantization: Quantization) -> LinearLayer:
    """How a linear layer is stored by that quantization. Raises KeyError for a method that is not written down here."""
    method = quantization.get("quant_method")
    ignored: list[str] = [
        pattern
        for field in ("ignore", "modules_to_not_convert", "exclude_modules")
        for pattern in quantization.get(field) or ()
    ]
    stored = {None: _bf16, "fp8": _fp8, "compressed-tensors": _packed, "modelopt": _nvfp4, "awq": _awq}[method]
    group = _group(quantization)

    @cache
    def is_kept(name: str) -> bool:
        return any(_names(pattern, name) for pattern in ignored)

    def linear(name: str, outputs: int, inputs: int) -> Iterator[Tensor]:
        kept = is_kept(EXPERT.sub("experts.0.", name))
        return _bf16(name, outputs, inputs, group) if kept else stored(name, outputs, inputs, group)

    return linear


def _names(pattern: str, name: str) -> bool:
    """Whether a pattern of a quantization is of that module: a regular expression, a glob, or a part of the name."""
    if pattern.startswith("re:"):
        return re.match(pattern.removeprefix("re:"), name) is not None
    if "*" in pattern:
        return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), name) is not None
    return pattern in name


def _group(quantization: Quantization) -> int:
    groups = cast("dict[str, dict[str, Any]]", quantization.get("config_groups") or {})
    sizes = [group["weights"]["group_size"] for group in groups.values()]
    return int(sizes[0] if sizes else quantization.get("group_size", NVFP4_GROUP))


def _bf16(name: str, outputs: int, inputs: int, _: int) -> Iterator[Tensor]:
    yield _plain(f"{name}.weight", outputs, inputs)


def _fp8(name: str, outputs: int, inputs: int, _: int) -> Iterator[Tensor]:
    yield Tensor(f"{name}.weight", "F8_E4M3", (outputs, inputs))
    yield Tensor(f"{name}.weight_scale_inv", "F32", (-(-outputs // FP8_BLOCK), -(-inputs // FP8_BLOCK)))


def _packed(name: str, outputs: int, inputs: int, group: int) -> Iterator[Tensor]:
    yield Tensor(f"{name}.weight_packed", "I32", (outputs, inputs // 8))
    yield Tensor(f"{name}.weight_scale", "BF16", (outputs, inputs // group))
    yield Tensor(f"{name}.weight_shape", "I32", (2,))


def _nvfp4(name: str, outputs: int, inputs: int, group: int) -> Iterator[Tensor]:
    yield Tensor(f"{name}.weight", "U8", (outputs, inputs // 2))
    yield Tensor(f"{name}.weight_scale", "F8_E4M3", (outputs, inputs // group))
    yield Tensor(f"{name}.weight_scale_2", "F32", ())
    yield Tensor(f"{name}.input_scale", "F32", ())


def _awq(name: str, outputs: int, inputs: int, group: int) -> Iterator[Tensor]:
    yield Tensor(f"{name}.qweight", "I32", (inputs, outputs // 8))
    yield Tensor(f"{name}.qzeros", "I32", (inputs // group, outputs // 8))
    yield Tensor(f"{name}.scales", "F16", (inputs // group, outputs))


def derive(written: Mapping[str, Any]) -> dict[str, object]:
    """Return a derived file with the sums of its tensors; those beside the language model stay as they are written.

    Raises BadRepository, KeyError, TypeError.
    """
    numbers, quantization = written["config"], written.get("quantization")
    a = ARCHITECTURES[written["model_type"]].from_config(numbers)
    if isinstance(a, GptOss):
        tensors = gpt_oss_tensors(a)
    elif isinstance(a, LatentAttention):
        tensors = tensors_of(a, quantization)
    else:
        raise TypeError(f"{written['repository']}: tensors of {written['model_type']} are not written down")
    named = {tensor.name: ("derived", tensor) for tensor in tensors}
    config = {**numbers, "model_type": written["model_type"]}
    sums: dict[str, Any] = model_file(Found(written["repository"], "", config, quantization, named))
    kept: list[dict[str, Any]] = [line for line in written.get("outside", []) if line["kind"] == "other"]
    return {
        **written,
        "bytes": sums["bytes"] + sum(line["bytes"] for line in kept),
        "layers": sums["layers"],
        "outside": [*sums["outside"], *kept],
    }


def main(paths: list[str]) -> int:
    """Write the sums into derived files."""
    for path in map(Path, paths):
        text = json.dumps(derive(json.loads(path.read_bytes())), indent=2) + "\n"
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
