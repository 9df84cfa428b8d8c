"""The siblings of the tiny model have the tensors of their kinds."""

import json
from pathlib import Path
from typing import Any

import tiny_siblings


def header(path: Path) -> dict[str, dict[str, Any]]:
    with path.open("rb") as file:
        return json.loads(file.read(int.from_bytes(file.read(8), "little")))


def tensors(folder: Path) -> dict[str, tuple[object, object]]:
    files = [header(path) for path in sorted(folder.glob("*.safetensors"))]
    named = {name: tensor for file in files for name, tensor in file.items() if name != "__metadata__"}
    return {name: (tensor["dtype"], tensor["shape"]) for name, tensor in named.items()}


def test_linear_layers_in_int4_hold_eight_numbers_in_32_bits_and_experts_are_as_they_were(tmp_path: Path) -> None:
    found = tensors(tiny_siblings.write_siblings(tmp_path)["int4"])
    output = "model.layers.2.self_attn.o_proj"
    assert found[f"{output}.weight_packed"] == ("I32", [128, 512 // 8])
    assert found[f"{output}.weight_scale"] == ("BF16", [128, 512 // 32])
    assert found[f"{output}.weight_shape"] == ("I64", [2])
    assert f"{output}.weight" not in found
    assert "model.layers.0.mlp.down_proj.weight_packed" in found
    assert "model.layers.1.mlp.shared_experts.up_proj.weight_packed" in found
    assert found["model.layers.1.mlp.experts.7.up_proj.weight"] == ("BF16", [64, 128])
    assert found["model.layers.1.mlp.gate.weight"] == ("BF16", [8, 128])
    assert found["lm_head.weight"] == ("BF16", [tiny_siblings.VOCABULARY, 128])


def test_grouped_queries_share_keys(tmp_path: Path) -> None:
    folder = tiny_siblings.write_siblings(tmp_path)["grouped"]
    found = tensors(folder)
    assert found["model.layers.3.self_attn.q_proj.weight"] == ("BF16", [4 * 64, 128])
    assert found["model.layers.3.self_attn.k_proj.weight"] == ("BF16", [2 * 64, 128])
    assert json.loads((folder / "config.json").read_text())["num_key_value_heads"] == 2
