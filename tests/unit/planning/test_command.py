"""`python -m planning`, as people and programs call it."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from planning.__main__ import main
from tests.unit.planning.stacks import Raw, raw


@pytest.fixture
def stack_file(tmp_path: Path) -> Path:
    return tmp_path / "Pulumi.test.yaml"


def write(path: Path, stack: Raw, **more: object) -> str:
    own = {f"deepseek:{name}": value for name, value in stack.items()}
    path.write_text(yaml.safe_dump({"config": {"kubernetes:namespace": "x", **own, **more}}), encoding="utf-8")
    return str(path)


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def test_json_of_a_stack_that_fits(stack_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([write(stack_file, raw(), **{"deepseek:apiKey": {"secure": "v1:x"}}), "--json"]) == 0
    plan = printed(capsys)
    assert plan["fits"]
    assert plan["problems"] == []
    assert [rank["layers"] for rank in plan["ranks"]] == [15, 15, 16, 15]
    assert plan["ranks"][2]["weightsGiB"] == pytest.approx(43.35, abs=0.01)
    assert plan["kvCacheTokens"] == min(rank["kvCacheTokens"] for rank in plan["ranks"])
    assert plan["weightsBytes"] == 1_368_979_721_216


def test_json_of_a_stack_that_is_refused(stack_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([write(stack_file, raw(hardware={"nodes": 2})), "--json"]) == 2
    plan = printed(capsys)
    assert not plan["fits"]
    assert [problem["key"] for problem in plan["problems"]] == ["hardware.nodes"]
    assert "hardware.nodes: 4" in plan["problems"][0]["suggestion"]
    assert plan["ranks"][1]["kvCacheGiB"] < 0


BAD_FILES = {
    "no YAML": ("config: [", "is not YAML"),
    "not text": (b"\xff\xfe\x00", "is not YAML"),
    "empty": ("", "has no object `config`"),
    "a list": ("- 1\n", "has no object `config`"),
    "nothing of this project": ("config: {a:b: c}\n", "hardware.gpu"),
    "plain secret": ("config: {deepseek:apiKey: sk-secret}\n", "pulumi config set --secret apiKey"),
    "unknown object": ("config: {deepseek:servng: {}}\n", "servng"),
}


@pytest.mark.parametrize(("content", "said"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_bad_files_end_with_code_2_and_no_traceback(
    content: str | bytes, said: str, stack_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack_file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main([str(stack_file), "--json"]) == 2
    text = capsys.readouterr().out
    assert json.loads(text)["problems"]
    assert said in text
    assert "sk-secret" not in text
    assert main([str(stack_file)]) == 2
    assert said in capsys.readouterr().out


def test_a_missing_file_names_those_that_are_there(stack_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = write(stack_file, raw())
    assert main([str(stack_file.with_name("Pulumi.tset.yaml"))]) == 2
    assert there in capsys.readouterr().out


def test_the_table_for_people(stack_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([write(stack_file, raw())]) == 0
    text = capsys.readouterr().out
    assert "parallelism: tensor 8 × pipeline 4" in text
    assert "30-45" in text
    assert "note: model.revision" in text


def test_the_comparison_has_both_precisions_and_costs(stack_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([write(stack_file, raw(hardware={"pricePerGpuHour": 1.8})), "--compare"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["NVIDIA-H200", "fp8", "1", "8", "yes"] in [line[:5] for line in lines]
    assert ["NVIDIA-A100-SXM4-80GB", "bf16", "4", "32", "yes"] in [line[:5] for line in lines]
    assert any(line[0] == "NVIDIA-A100-SXM4-80GB" and line[-1] == "57.60" for line in lines)
    assert lines[0][:3] == ["Layouts", "that", "fit,"], "those of the stack's own hardware come first"


def test_the_comparison_needs_a_known_model(stack_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unknown = raw(model={"repository": "http://tiny-model:8080/tiny.git"}, hardware={"gpu": "none"})
    assert main([write(stack_file, unknown), "--compare"]) == 2
    assert "model.repository" in capsys.readouterr().out


def test_the_speed_is_predicted_for_requests_of_the_given_length(
    stack_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(stack_file, raw())
    assert main([file, "--json"]) == 0
    usual = printed(capsys)["predicted"]
    assert main([file, "--json", "--prompt-tokens", "8000", "--answer-tokens", "200"]) == 0
    long = printed(capsys)["predicted"]
    assert (long["promptTokens"], long["answerTokens"]) == (8000, 200)
    assert long["outputTokensPerSecond"]["64"] < usual["outputTokensPerSecond"]["64"]
    assert long["timeToFirstTokenSeconds"]["1"] > usual["timeToFirstTokenSeconds"]["1"]


@pytest.mark.parametrize("tokens", ["0", "-1", "x", "1e3", "9" * 30, "\u0663"])
def test_a_length_that_is_no_number_of_tokens_is_refused(
    tokens: str, stack_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([write(stack_file, raw()), f"--prompt-tokens={tokens}"])
    assert "is no number of tokens" in capsys.readouterr().err


def test_the_comparison_leaves_out_gpus_without_the_models_attention(
    stack_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sparse = raw(
        model={"repository": "https://huggingface.co/deepseek-ai/DeepSeek-V3.2"}, hardware={"gpu": "NVIDIA-H200"}
    )
    assert main([write(stack_file, sparse), "--compare"]) == 0
    listed = {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    assert "NVIDIA-H200" in listed
    assert not {gpu for gpu in listed if "A100" in gpu or "L40S" in gpu}
