"""How a repository stores its weights, read from `quantization_config` of its config.json."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from planning.sizing.matrices import FP8_BLOCK, Precision

QUARK = "quark"
"""AMD's own quantization method."""
METHODS = frozenset(
    {"awq", "auto_awq", "awq_marlin", "gptq", "auto_gptq", "gptq_marlin", "compressed-tensors", "moe_wna16", QUARK}
    | {"fp8", "fbgemm_fp8", "fp_quant", "mxfp4", "gpt_oss_mxfp4", "deepseek_v4_fp8", "mxfp8", "experts_int8", "humming"}
    | {"modelopt", "modelopt_fp4", "modelopt_mxfp8", "modelopt_mixed", "torchao", "inc", "auto-round", "online"}
    | {"fp8_per_tensor", "fp8_per_block", "fp8_per_channel", "int8_per_channel_weight_only", "nvfp4_per_token"}
)
"""Names that vLLM 0.32 reads in `quant_method` of a config.json: `QuantizationMethods`, and those that its classes take
over (`override_quantization_method`)."""


def precision_of(quantization: Mapping[str, Any] | None) -> Precision:
    """The precision of most of the weights. Raises ValueError with what is not known of the quantization.

    Sources: vLLM 0.32, `QuantizationMethods` in `model_executor/layers/quantization/__init__.py`, and the module of
    each method.
    """
    if not quantization:
        return "bf16"
    method = str(quantization.get("quant_method", "")).lower()
    if method not in KNOWN:
        unknown = "the plan does not know it" if method in METHODS else "vLLM 0.32 has no such method"
        raise ValueError(f"quant_method '{method}': {unknown}; known are {', '.join(KNOWN)}")
    return KNOWN[method](quantization)


def _fp8(quantization: Mapping[str, Any]) -> Precision:
    block = quantization.get("weight_block_size")
    if block not in (None, [FP8_BLOCK, FP8_BLOCK]):
        raise ValueError(f"weight_block_size {block}: [{FP8_BLOCK}, {FP8_BLOCK}] or none is known")
    return "fp8"


def _mxfp4(_: Mapping[str, Any]) -> Precision:
    return "mxfp4"


def _integer(quantization: Mapping[str, Any]) -> Precision:
    bits = quantization.get("bits", quantization.get("w_bit"))
    if bits != 4:
        raise ValueError(f"bits {bits}: 4 are known")
    return "int4"


def _of_groups(quantization: Mapping[str, Any]) -> Precision:
    groups = cast("dict[str, dict[str, Any]]", quantization.get("config_groups") or {})
    found: set[Precision] = set()
    for name, group in groups.items():
        weights = cast("dict[str, Any]", group.get("weights") or {})
        match weights.get("type"), weights.get("num_bits"):
            case "int", 4:
                found.add("int4")
            case "float", 4:
                found.add(_of_four_float_bits(name, weights.get("group_size")))
            case "float", 8:
                found.add("fp8")
            case kind, bits:
                raise ValueError(f"config_groups.{name}.weights: {bits} bits of type {kind}: int 4, float 4, float 8")
    if len(found) != 1:
        raise ValueError(f"config_groups has {len(found)} formats of weights, and one is known")
    return found.pop()


def _of_four_float_bits(name: str, group_size: object) -> Precision:
    """By the weights that share a scale: `_is_nvfp4_format` and `_is_mxfp4` in `compressed_tensors.py`."""
    match group_size:
        case 16:
            return "nvfp4"
        case 32:
            return "mxfp4"
        case _:
            raise ValueError(
                f"config_groups.{name}.weights: group_size {group_size} of 4 float bits: 16 and 32 are known"
            )


def _of_modelopt(quantization: Mapping[str, Any]) -> Precision:
    algorithm = str(quantization.get("quant_algo", "")).upper()
    if algorithm in ("NVFP4", "FP4"):
        return "nvfp4"
    if algorithm == "FP8":
        return "fp8"
    raise ValueError(f"quant_algo '{algorithm}': NVFP4 and FP8 are known")


def _of_quark(quantization: Mapping[str, Any]) -> Precision:
    """By what most layers have: `_is_w_ocp_mx_a_x` in `quark/quark.py`."""
    groups = cast("dict[str, Any]", quantization.get("global_quant_config") or {})
    weight: object = groups.get("weight")
    if not weight:
        raise ValueError("global_quant_config.weight is missing")
    written = cast("list[object]", weight) if isinstance(weight, list) else [weight]
    if len(written) != 1 or not isinstance(written[0], dict):
        raise ValueError(f"global_quant_config.weight has {len(written)} formats, and one is known")
    only = cast("dict[str, Any]", written[0])
    found = only.get("dtype"), only.get("group_size"), only.get("scale_format")
    if found != ("fp4", 32, "e8m0"):
        text = " ".join(f"{part}" for part in found)
        raise ValueError(f"global_quant_config.weight: {text}: fp4 in groups of 32 with scales in e8m0 is known")
    return "mxfp4"


KNOWN: Mapping[str, Callable[[Mapping[str, Any]], Precision]] = {
    "fp8": _fp8,
    "awq": _integer,
    "gptq": _integer,
    "compressed-tensors": _of_groups,
    "modelopt": _of_modelopt,
    "modelopt_fp4": _of_modelopt,
    "mxfp4": _mxfp4,
    QUARK: _of_quark,
}
"""By `quant_method`."""
