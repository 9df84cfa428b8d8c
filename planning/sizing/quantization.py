"""How a repository stores its weights, read from `quantization_config` of its config.json."""

from collections.abc import Mapping
from typing import Any, cast

from planning.sizing.matrices import FP8_BLOCK, Precision


def precision_of(quantization: Mapping[str, Any] | None) -> Precision:
    """The precision of most of the weights. Raises ValueError with what is not known of the quantization.

    Sources: vLLM 0.32, `QuantizationMethods` in `model_executor/layers/quantization/__init__.py`, and the module of
    each method.
    """
    if not quantization:
        return "bf16"
    method = str(quantization.get("quant_method", "")).lower()
    match method:
        case "fp8":
            block = quantization.get("weight_block_size")
            if block not in (None, [FP8_BLOCK, FP8_BLOCK]):
                raise ValueError(f"weight_block_size {block}: [{FP8_BLOCK}, {FP8_BLOCK}] or none is known")
            return "fp8"
        case "awq" | "gptq":
            return _integer(quantization.get("bits", quantization.get("w_bit")))
        case "compressed-tensors":
            return _of_groups(quantization)
        case "modelopt" | "modelopt_fp4":
            return _of_modelopt(quantization)
        case _:
            raise ValueError(f"quant_method '{method}': fp8, awq, gptq, compressed-tensors and modelopt are known")


def _integer(bits: object) -> Precision:
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
