"""Sizes read from a repository's own files: what is planned from them, and which files are refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_model import write_model

from planning.headers.__main__ import main
from planning.sizing.architectures.latent_attention import LatentAttention
from planning.sizing.memory import stages
from planning.sizing.weights import repository_bytes
from tests.unit.planning.architectures import DEEPSEEK_V3
from tests.unit.planning.engines import engine
from tests.unit.planning.headers.host import COMMIT, host
from tests.unit.planning.headers.reading import ADDRESS, made, weights
from tests.unit.planning.headers.repositories import (
    GPT_OSS,
    INT4,
    LLAMA,
    deepseek_fp8,
    gpt_oss,
    header_of,
    llama,
    write,
    write_repository,
)


def test_a_repository_in_bf16_has_the_sizes_that_its_numbers_make(tmp_path: Path) -> None:
    write_model(tmp_path / "tiny")
    known = made(tmp_path / "tiny", tmp_path / "models")
    assert (known.model_type, known.precision, known.commit) == ("deepseek_v3", "bf16", COMMIT)
    assert known.sums
    assert known.sums.bytes == repository_bytes(known.architecture, "bf16")
    for tensor, pipeline in ((1, 1), (2, 1), (4, 1), (2, 2)):
        derived = [stage.weights for _, stage in stages(known.architecture, "bf16", engine(tensor, pipeline))]
        assert weights(known, tensor, pipeline) == derived


def test_a_repository_in_fp8_has_the_sizes_that_its_numbers_make(tmp_path: Path) -> None:
    """DeepSeek-V3's own widths, five layers of them, two with experts."""
    a = replace(DEEPSEEK_V3, num_hidden_layers=5, num_nextn_predict_layers=0)
    assert isinstance(a, LatentAttention)
    config = {name: getattr(a, name) for name in a.names()} | {
        "model_type": "deepseek_v3",
        "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
    }
    write_repository(tmp_path / "v3", config, deepseek_fp8(a))
    known = made(tmp_path / "v3", tmp_path / "models")
    assert known.sums
    assert known.sums.bytes == repository_bytes(a, "fp8")
    for tensor, pipeline in ((1, 1), (8, 1), (8, 2)):
        derived = [stage.weights for _, stage in stages(a, "fp8", engine(tensor, pipeline))]
        # A scale that several ranks need, because a block ends on another rank, is on each of them.
        assert weights(known, tensor, pipeline) == pytest.approx(derived, rel=1e-5)


def test_the_release_that_somebody_wrote_into_a_file_stays_there(tmp_path: Path) -> None:
    write_repository(tmp_path / "llama", LLAMA, llama())
    made(tmp_path / "llama", tmp_path / "models")
    path = tmp_path / "models" / "owner--small.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"least_vllm": "0.30.0"}))
    assert made(tmp_path / "llama", tmp_path / "models").least_vllm == "0.30.0"


def test_what_a_host_has_is_read_by_parts(tmp_path: Path) -> None:
    write_model(tmp_path / "tiny")
    models = tmp_path / "models"
    models.mkdir()
    with host(tmp_path / "tiny") as (address, asked):
        assert main([f"{address}.git", "main"], models) == 0
    from_host = (models / "owner--small.json").read_text()
    made(tmp_path / "tiny", models)
    assert from_host == (models / "owner--small.json").read_text()
    assert not [path for path in asked if "/main/" in path and "config.json" not in path], "the branch may have moved"


def test_a_host_without_range_requests_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_model(tmp_path / "tiny")
    with host(tmp_path / "tiny", ranges=False) as (address, _):
        assert main([address, COMMIT], tmp_path) == 2
    assert "has no range requests; download the repository and name its FOLDER" in capsys.readouterr().err


def test_a_branch_of_a_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_model(tmp_path / "tiny")
    assert main([ADDRESS, "main", "--folder", str(tmp_path / "tiny")], tmp_path) == 2
    assert "commit: main is none" in capsys.readouterr().err


def cut(path: Path) -> None:
    with path.open("rb+") as file:
        file.truncate(path.stat().st_size - 1)


def longer(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def long_header(path: Path) -> None:
    with path.open("rb+") as file:
        file.write((10**9).to_bytes(8, "little"))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


def with_header(change: Callable[[dict[str, Any]], str]) -> Callable[[Path], None]:
    """A file whose header is what `change` makes of the right one."""

    def write_it(path: Path) -> None:
        header, size = header_of(llama())
        text = change(header).encode()
        with path.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.truncate(8 + len(text) + size)

    return write_it


def edited(name: str, **fields: Any) -> Callable[[Path], None]:
    return with_header(lambda header: json.dumps(header | {name: header[name] | fields}))


def twice(header: dict[str, Any]) -> str:
    text = json.dumps(header)
    return f'{text[:-1]}, "lm_head.weight": {json.dumps(header["lm_head.weight"])}}}'


NORM = "model.norm.weight"
BAD_FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "cut": (cut, "length: "),
    "longer": (longer, "more follows than the header names"),
    "length": (long_header, "length of the header: 1,000,000,000 bytes; right is 2 to "),
    "pointer": (pointer, "a pointer of Git LFS"),
    "empty": (empty, "length: 0 bytes"),
    "no JSON": (with_header(lambda _: "{{"), "header: no JSON"),
    "twice": (with_header(twice), "lm_head.weight: named twice; right is once"),
    "type": (edited(NORM, dtype="F7"), "model.norm.weight.dtype: 'F7'"),
    "shape": (edited(NORM, shape=[-1]), "model.norm.weight.shape"),
    "offsets": (edited(NORM, data_offsets=[0, 4]), "model.norm.weight.data_offsets: [0, 4]; right is 512 bytes"),
    "overlap": (edited(NORM, data_offsets=[0, 512]), "without a gap"),
}


@pytest.mark.parametrize(("damage", "said"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_a_damaged_file_is_refused_by_file_and_field(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Callable[[Path], None], said: str
) -> None:
    write_repository(tmp_path / "small", LLAMA, llama())
    damage(tmp_path / "small" / "model.safetensors")
    assert main([ADDRESS, COMMIT, "--folder", str(tmp_path / "small")], tmp_path) == 2
    error = capsys.readouterr().err
    assert error.startswith("model.safetensors: ")
    assert said in error
    assert not list(tmp_path.glob("*.json"))


CONTRADICTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "fewer layers": ({"num_hidden_layers": 1}, "num_hidden_layers + num_nextn_predict_layers: 1; right is 2"),
    "more layers": ({"num_hidden_layers": 3}, "num_hidden_layers: 3; right is fewer: no file has a tensor of layer 2"),
    "width": ({"hidden_size": 128, "head_dim": 32}, "hidden_size: 128; right is 256"),
    "vocabulary": ({"vocab_size": 1000}, "vocab_size: 1000; right is 1024"),
    "key heads": ({"num_key_value_heads": 4}, "num_key_value_heads × head_dim: 128; right is 64"),
    "feed-forward": ({"intermediate_size": 500}, "intermediate_size: 500; right is 512"),
    "architecture": ({"model_type": "mamba"}, "model_type: mamba; right is one of "),
    "quantization": ({"quantization_config": {"quant_method": "x"}}, "quant_method 'x': vLLM 0.32 has no such method"),
    "quantized by its word alone": (
        {"quantization_config": INT4},
        "quantization_config: quant_method 'compressed-tensors'; right is none: no tensor is of a quantized type",
    ),
}


@pytest.mark.parametrize(("change", "said"), CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
def test_a_config_that_contradicts_the_files_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], said: str
) -> None:
    write_repository(tmp_path / "small", LLAMA | change, llama())
    assert main([ADDRESS, COMMIT, "--folder", str(tmp_path / "small")], tmp_path) == 2
    error = capsys.readouterr().err
    assert error.startswith("config.json: ")
    assert said in error


def test_quantized_tensors_of_which_config_does_not_tell_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_repository(tmp_path / "small", LLAMA, llama(("mlp.up_proj",)))
    assert main([ADDRESS, COMMIT, "--folder", str(tmp_path / "small")], tmp_path) == 2
    said = "quantization_config: none; right is that of model.layers.0.mlp.up_proj.weight_packed, which is I32"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_local_experts": 8}, "num_local_experts: 8; right is 4"),
        ({"intermediate_size": 256}, "2 × intermediate_size: 512; right is 384"),
    ],
)
def test_experts_in_one_tensor_are_counted_by_its_shape(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], said: str
) -> None:
    write_repository(tmp_path / "small", GPT_OSS | change, gpt_oss())
    assert main([ADDRESS, COMMIT, "--folder", str(tmp_path / "small")], tmp_path) == 2
    assert said in capsys.readouterr().err


def test_a_number_that_config_lacks_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_repository(tmp_path / "small", {k: v for k, v in LLAMA.items() if k != "vocab_size"}, llama())
    assert main([ADDRESS, COMMIT, "--folder", str(tmp_path / "small")], tmp_path) == 2
    assert "config.json: numbers: vocab_size missing" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "field"), [("config.json", "hidden_size"), ("model.safetensors.index.json", "model.norm.weight")]
)
def test_a_name_that_stands_twice_in_a_file_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, field: str
) -> None:
    write_repository(tmp_path / "small", LLAMA, llama())
    index = {"weight_map": dict.fromkeys(llama(), "model.safetensors")}
    (tmp_path / "small" / "model.safetensors.index.json").write_text(json.dumps(index))
    path = tmp_path / "small" / file
    path.write_text(path.read_text().replace(f'"{field}"', f'"{field}": 1, "{field}"', 1))
    assert main([ADDRESS, COMMIT, "--folder", str(tmp_path / "small")], tmp_path) == 2
    assert capsys.readouterr().err.startswith(f"{file}: {field}: named twice; right is once")


def test_a_tensor_that_its_file_does_not_have_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_repository(tmp_path / "small", LLAMA, llama())
    index = tmp_path / "small" / "model.safetensors.index.json"
    placed = dict.fromkeys(llama(), "model.safetensors")
    index.write_text(json.dumps({"weight_map": placed | {"model.extra.weight": "model.safetensors"}}))
    assert main([ADDRESS, COMMIT, "--folder", str(tmp_path / "small")], tmp_path) == 2
    assert "weight_map.model.extra.weight: model.safetensors; right is another file" in capsys.readouterr().err


def test_a_tensor_that_the_architecture_does_not_have_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strange = {"model.layers.0.self_attn.sinks": ("BF16", (8,))}
    write_repository(tmp_path / "small", LLAMA, llama() | strange)
    assert main([ADDRESS, COMMIT, "--folder", str(tmp_path / "small")], tmp_path) == 2
    assert "model.layers.0.self_attn.sinks: a tensor that vLLM's model does not have" in capsys.readouterr().err


def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "small").mkdir()
    write(tmp_path / "small" / "model.safetensors", llama())
    assert main([ADDRESS, COMMIT, "--folder", str(tmp_path / "small")], tmp_path) == 2
    assert "config.json: is not there" in capsys.readouterr().err
