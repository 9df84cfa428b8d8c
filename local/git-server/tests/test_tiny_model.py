"""The generated model and its repository."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import serve_tiny_model
import tiny_model
from tiny_tokenizer import TOKENS, WORDS


def header(path: Path) -> dict[str, dict[str, list[int]]]:
    with path.open("rb") as file:
        return json.loads(file.read(int.from_bytes(file.read(8), "little")))


def test_every_tensor_is_where_the_index_says_and_fills_its_file(tmp_path: Path) -> None:
    tiny_model.write_model(tmp_path)
    places = json.loads((tmp_path / "model.safetensors.index.json").read_text())["weight_map"]
    shards = sorted(tmp_path.glob("*.safetensors"))
    assert len(shards) == tiny_model.SHARDS
    for shard in shards:
        tensors = {name: tensor for name, tensor in header(shard).items() if name != "__metadata__"}
        assert set(tensors) == {name for name, place in places.items() if place == shard.name}
        start = 8 + int.from_bytes(shard.read_bytes()[:8], "little")
        ends = [tensor["data_offsets"][1] for tensor in tensors.values()]
        assert start % 8 == 0
        assert shard.stat().st_size == start + max(ends)


def test_the_model_has_deepseeks_tensors(tmp_path: Path) -> None:
    tiny_model.write_model(tmp_path)
    names = set(json.loads((tmp_path / "model.safetensors.index.json").read_text())["weight_map"])
    assert {
        "model.embed_tokens.weight",
        "model.layers.0.mlp.gate_proj.weight",
        "model.layers.1.mlp.gate.e_score_correction_bias",
        "model.layers.3.mlp.experts.7.down_proj.weight",
        "model.layers.3.mlp.shared_experts.up_proj.weight",
        "model.layers.3.self_attn.kv_a_proj_with_mqa.weight",
        "lm_head.weight",
    } < names
    assert "model.layers.0.mlp.experts.0.down_proj.weight" not in names


def test_the_tokenizer_reads_every_byte_and_says_only_words(tmp_path: Path) -> None:
    tiny_model.write_model(tmp_path)
    vocabulary = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    assert len(vocabulary) == len(TOKENS) == json.loads((tmp_path / "config.json").read_text())["vocab_size"]
    head = next(tensor for tensor in tiny_model.tensors(0) if tensor.name == "lm_head.weight")
    row = 2 * tiny_model.HIDDEN
    biases = [bytes(head.data[number * row : number * row + 2]) for number in range(len(TOKENS))]
    assert {token for token, bias in zip(TOKENS, biases, strict=True) if bias == b"\0\0"} == set(WORDS)


@pytest.mark.parametrize("auto_class", ["AutoConfig", "AutoModel", "AutoModelForCausalLM"])
def test_the_code_that_the_configuration_names_fails_when_it_is_imported(tmp_path: Path, auto_class: str) -> None:
    """So every answer of the tests with real pods shows that vLLM serves the model without it."""
    tiny_model.write_model(tmp_path)
    module, _, _ = json.loads((tmp_path / "config.json").read_text())["auto_map"][auto_class].partition(".")
    imported = subprocess.run(
        [sys.executable, "-B", "-c", f"import {module}"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert imported.returncode
    assert imported.stderr.strip().endswith(f"ImportError: {tiny_model.REMOTE_CODE_RAN}")


def test_the_commit_is_the_same_every_time(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    assert serve_tiny_model.generate(tmp_path / "one") == serve_tiny_model.generate(tmp_path / "two")


def test_powers_of_two_are_written_exactly() -> None:
    assert tiny_model.bfloat16(1) == bytes.fromhex("803f")
    assert tiny_model.bfloat16(-16) == bytes.fromhex("80c1")
    assert tiny_model.bfloat16(0) == b"\0\0"
