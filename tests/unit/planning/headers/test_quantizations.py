"""Quantized repositories: what is planned of them by the tensors that their files name, and which are refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from planning.sizing.architectures.latent_attention import LatentAttention
from planning.sizing.quantization import precision_of
from tests.unit.planning.architectures import DEEPSEEK_V3
from tests.unit.planning.headers.reading import made, weights
from tests.unit.planning.headers.repositories import INT4, LLAMA, QUARK, deepseek_fp8, llama, quark, write_repository


def test_int4_weights_are_a_sum_over_what_the_files_name(tmp_path: Path) -> None:
    packed = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj", "self_attn.k_proj")
    write_repository(tmp_path / "int4", LLAMA | {"quantization_config": INT4}, llama(packed))
    known = made(tmp_path / "int4", tmp_path / "models")
    assert known.precision == "int4"
    of_packed = 256 * 512 // 2 + 2 * 256 * 512 // 32
    layer = 3 * of_packed // 4 + (64 * 256 // 2 + 2 * 64 * 256 // 32) // 2 + 2 * 64 * 256 // 2
    layer += 2 * 2 * 256 * 256 // 4 + 2 * 2 * 256 + 4 * 8 * 2
    rotary = 2 * 2048 * 32
    assert weights(known, 4) == [2 * layer + 2 * 2 * 1024 * 256 // 4 + 2 * 256 + rotary]


def test_experts_of_quark_are_a_sum_over_what_the_files_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """DeepSeek-V3's own widths, four layers of them, the last with experts; attention and the rest in BF16."""
    a = replace(DEEPSEEK_V3, num_hidden_layers=4, num_nextn_predict_layers=0)
    assert isinstance(a, LatentAttention)
    config = {name: getattr(a, name) for name in a.names()} | {"model_type": "deepseek_v3"}
    plain = {name: ("BF16", shape) for name, (_, shape) in deepseek_fp8(a).items() if "scale_inv" not in name}
    write_repository(tmp_path / "bf16", config, plain)
    in_bf16 = made(tmp_path / "bf16", tmp_path / "models")
    assert not capsys.readouterr().err
    write_repository(tmp_path / "quark", config | {"quantization_config": QUARK}, quark(plain))
    known = made(tmp_path / "quark", tmp_path / "models")
    assert (known.precision, known.quantization_method) == ("mxfp4", "quark")
    assert known.sums
    assert known.sums.has_quantized_experts
    of_experts = 256 * 3 * 7168 * 2048
    for tensor in (1, 8):
        saved = of_experts * (2 - 1 / 2 - 1 / 32) / tensor
        assert weights(in_bf16, tensor)[0] - weights(known, tensor)[0] == saved
    assert (
        "on GPUs of compute capability 9.x and 10.x vLLM 0.32.0 takes its experts with --moe-backend=marlin only"
        in (capsys.readouterr().err)
    )


QUARKS: dict[str, tuple[object, str]] = {
    "fp8": ({"dtype": "fp8_e4m3"}, "global_quant_config.weight: fp8_e4m3 None None: fp4 in groups of 32"),
    "two": ([{"dtype": "fp4"}, {"dtype": "fp8_e4m3"}], "global_quant_config.weight has 2 formats, and one is known"),
    "none": (None, "global_quant_config.weight is missing"),
}


@pytest.mark.parametrize(("weight", "said"), QUARKS.values(), ids=QUARKS.keys())
def test_other_formats_of_quark_are_refused(weight: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        precision_of({"quant_method": "quark", "global_quant_config": {"weight": weight}})


def test_one_format_of_quark_may_stand_in_a_list() -> None:
    weight = QUARK["global_quant_config"]["weight"]
    assert precision_of({"quant_method": "quark", "global_quant_config": {"weight": [weight]}}) == "mxfp4"


def test_a_method_that_vllm_has_and_the_plan_does_not_know_is_told_from_one_that_vllm_does_not_have() -> None:
    with pytest.raises(ValueError, match="quant_method 'torchao': the plan does not know it; known are fp8, awq"):
        precision_of({"quant_method": "torchao"})
    with pytest.raises(ValueError, match=r"quant_method 'marvel': vLLM 0\.32 has no such method; known are fp8, awq"):
        precision_of({"quant_method": "marvel"})


@pytest.mark.parametrize(("group_size", "precision"), [(16, "nvfp4"), (32, "mxfp4")])
def test_four_float_bits_are_told_apart_by_the_weights_that_share_a_scale(group_size: int, precision: str) -> None:
    weights = {"num_bits": 4, "type": "float", "group_size": group_size}
    found = {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": weights}}}
    assert precision_of(found) == precision


def test_another_group_of_four_float_bits_is_refused() -> None:
    weights = {"num_bits": 4, "type": "float", "group_size": 64}
    with pytest.raises(ValueError, match="group_size 64 of 4 float bits: 16 and 32 are known"):
        precision_of({"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": weights}}})
