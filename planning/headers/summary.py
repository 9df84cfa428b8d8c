"""Adds the tensors of a repository up, by layer and kind, into what a file of planning/models says."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

from planning.headers.faults import BadRepository
from planning.headers.safetensors import Tensor
from planning.sizing.architecture import Architecture, Dimension
from planning.sizing.architectures import ARCHITECTURES
from planning.sizing.matrices import BF16
from planning.sizing.quantization import precision_of
from planning.sizing.tensor_rules import OUTSIDE, Kind, Split, TensorRule

CONFIG = "config.json"
IN_LAYER = re.compile(r"(?:language_model\.)?model\.layers\.(\d+)\.(.+)")
EXPERT = re.compile(r"experts\.\d+\.")
OF_IMAGES = (
    TensorRule(r"vision_tower\.encoder\.blocks\.\d+\.(wqkv|mlp\.fc0)", "other", "outputs"),
    TensorRule(r"vision_tower\.encoder\.blocks\.\d+\.(wo|mlp\.fc1)", "other", "inputs"),
    TensorRule(r"(vision_tower|mm_projector)", "other"),
)
"""Of models that read images. Source: vLLM's `model_executor/models/kimi_k25_vit.py`."""
WHOLE_SHAPES = ("F8_E4M3", "BF16", "F16", "F32")
"""Types in which a weight has an element for each of its numbers. Others pack several into one."""
QUANTIZED = ("F4", "F8_E4M3", "F8_E5M2", "U8", "I8", "I32")
"""Types in which quantized weights are stored."""
ROTARY = "self_attn.rotary_emb.inv_freq"
"""Which vLLM works out instead of loading it."""

Key = tuple[Kind, Split, str]
Sums = Mapping[Key, tuple[int, int]]


@dataclass(frozen=True)
class Found:
    """A repository's facts: what config.json says, and every tensor with its file."""

    repository: str
    """OWNER/NAME."""

    commit: str | None
    """None where nothing tells it."""

    config: Mapping[str, Any]
    quantization: Mapping[str, Any] | None
    tensors: Mapping[str, tuple[str, Tensor]]


def model_file(found: Found) -> dict[str, object]:
    """Return what a file of planning/models says of it. Raises BadRepository."""
    text = cast("Mapping[str, Any]", found.config.get("text_config") or found.config)
    model_type = str(text.get("model_type"))
    kind = ARCHITECTURES.get(model_type)
    if kind is None:
        right = f"one of {', '.join(ARCHITECTURES)}; any other is served with model.planned: false"
        raise BadRepository(CONFIG, "model_type", model_type, right)
    try:
        architecture = kind.from_config(text)
    except KeyError as error:
        raise BadRepository(CONFIG, "numbers", f"{error.args[0]} missing", f"those of {model_type}") from None
    try:
        precision_of(found.quantization)
    except ValueError as error:
        right = "one of these; any other that vLLM has is served with model.planned: false"
        raise BadRepository(CONFIG, "quantization_config", str(error), right) from None
    _check_quantization(found)
    layers, outside = _by_layer(found.tensors, architecture)
    _check_layers(layers, architecture)
    sums = [_added(found, layer, architecture.tensor_rules) for layer in layers]
    beside = _added(found, outside, (*OUTSIDE, *OF_IMAGES))
    total = sum(size for group in (*sums, beside) for size, _ in group.values())
    return {
        "repository": found.repository,
        **({"commit": found.commit} if found.commit else {}),
        "source": "headers",
        "model_type": model_type,
        "config": {name: getattr(architecture, name) for name in architecture.names()},
        **({"quantization": dict(found.quantization)} if found.quantization else {}),
        "bytes": total,
        "layers": _alike(sums),
        "outside": _lines(beside),
    }


def _check_quantization(found: Found) -> None:
    """The tensors are quantized if config.json says so, and only then."""
    packed = next((item for item in found.tensors.values() if item[1].type in QUANTIZED), None)
    if packed and not found.quantization:
        file, tensor = packed
        right = f"that of {tensor.name}, which is {tensor.type} in {file}"
        raise BadRepository(CONFIG, "quantization_config", "none", right)
    if found.quantization and not packed:
        method = f"quant_method '{found.quantization.get('quant_method')}'"
        raise BadRepository(CONFIG, "quantization_config", method, "none: no tensor is of a quantized type")


def _by_layer(
    tensors: Mapping[str, tuple[str, Tensor]], a: Architecture
) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Names within each layer, and beside the layers, each with the tensor's whole name. Checks their shapes."""
    layers: list[dict[str, str]] = [{} for _ in range(a.num_hidden_layers + a.num_nextn_predict_layers)]
    outside: dict[str, str] = {}
    shapes, embedding = a.shapes(), (("vocab_size", a.vocab_size), ("hidden_size", a.hidden_size))
    for name, (file, tensor) in tensors.items():
        if in_layer := IN_LAYER.fullmatch(name):
            index, short = int(in_layer[1]), in_layer[2]
            if index >= len(layers):
                fields = "num_hidden_layers + num_nextn_predict_layers"
                raise BadRepository(CONFIG, fields, f"{len(layers)}", f"{index + 1}: {file} has {name}")
            layers[index][short] = name
            _check_shape(file, tensor, shapes.get(short.removesuffix(".weight")))
        else:
            short = name.removeprefix("language_model.")
            outside[short] = name
            _check_shape(file, tensor, embedding if short == "model.embed_tokens.weight" else None)
    return layers, outside


def _check_shape(file: str, tensor: Tensor, wanted: tuple[Dimension, ...] | None) -> None:
    if wanted is None or tensor.type not in WHOLE_SHAPES:
        return
    if len(tensor.shape) != len(wanted):
        raise BadRepository(file, f"{tensor.name}.shape", f"{list(tensor.shape)}", f"{len(wanted)} dimensions")
    for found, (field, size) in zip(tensor.shape, wanted, strict=True):
        if found != size:
            raise BadRepository(CONFIG, field, f"{size}", f"{found}: {file} has {tensor.name} {list(tensor.shape)}")


def _check_layers(layers: list[dict[str, str]], a: Architecture) -> None:
    """Each layer is there, and has as many experts as config.json says, or none."""
    for index, layer in enumerate(layers):
        if not layer:
            field = "num_hidden_layers" if index < a.num_hidden_layers else "num_nextn_predict_layers"
            raise BadRepository(CONFIG, field, f"{getattr(a, field)}", f"fewer: no file has a tensor of layer {index}")
        if a.stacked_experts:
            continue
        experts = {match[0] for name in layer if (match := EXPERT.search(name))}
        wanted = a.n_routed_experts or 0 if index >= a.num_hidden_layers or a.is_moe(index) else 0
        if len(experts) != wanted:
            text = f"layer {index} has {wanted} experts"
            raise BadRepository(CONFIG, "n_routed_experts, first_k_dense_replace", text, f"{len(experts)}")


def _added(found: Found, names: Mapping[str, str], rules: tuple[TensorRule, ...]) -> Sums:
    """Bytes in the repository and as vLLM holds them, of the tensors that are alike for the plan."""
    stored: Counter[Key] = Counter()
    held: Counter[Key] = Counter()
    found_rules: dict[str, TensorRule | None] = {}
    for short, name in names.items():
        file, tensor = found.tensors[name]
        alike = EXPERT.sub("experts.0.", short)
        if alike not in found_rules:
            found_rules[alike] = next((rule for rule in rules if rule.is_of(alike)), None)
        rule = found_rules[alike]
        if rule is None and short != ROTARY:
            raise BadRepository(file, name, "a tensor that vLLM's model does not have", "one of this architecture")
        key: Key = (rule.kind, rule.split(tensor.shape), tensor.type) if rule else ("other", "no", tensor.type)
        stored[key] += tensor.bytes
        held[key] += _held_bytes(tensor, rule) if rule else 0
    return {key: (stored[key], held[key]) for key in sorted(stored)}


def _held_bytes(tensor: Tensor, rule: TensorRule) -> int:
    """As vLLM holds it: weights that are stored in float32, or that a rule says so of, have the model's type, BF16."""
    if rule.in_bf16:
        return BF16 * tensor.elements if tensor.name.endswith(".weight") else 0
    computed = tensor.type in ("F32", "F64") and tensor.name.endswith((".weight", ".bias"))
    return BF16 * tensor.elements if computed else tensor.bytes


def _alike(layers: list[Sums]) -> list[dict[str, object]]:
    """One entry for layers in a row that hold the same."""
    entries: list[dict[str, object]] = []
    first = 0
    for sums, group in groupby(layers):
        last = first + len(list(group)) - 1
        entries.append({"first": first, "last": last, "tensors": _lines(sums)})
        first = last + 1
    return entries


def _lines(sums: Sums) -> list[dict[str, object]]:
    lines: list[dict[str, object]] = []
    for (kind, split, of_type), (stored, held) in sums.items():
        line: dict[str, object] = {"kind": kind, "split": split, "type": of_type, "bytes": stored}
        lines.append(line if held == stored else line | {"held_bytes": held})
    return lines
