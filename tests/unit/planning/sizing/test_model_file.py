"""Files of planning/models: what is read from them, and which are refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from planning.sizing.memory import stages
from planning.sizing.model_file import FOLDER, BadModelFile, known_model, read
from tests.unit.planning.engines import engine

LLAMA: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 1000,
    "max_position_embeddings": 512,
}
FILE: dict[str, Any] = {
    "repository": "owner/small",
    "commit": "0" * 40,
    "source": "headers",
    "model_type": "llama",
    "config": LLAMA,
    "quantization": {"quant_method": "awq", "bits": 4},
    "bytes": 2 * (3000 + 400 + 128) + 128_000 + 128_000 + 128,
    "layers": [
        {
            "first": 0,
            "last": 1,
            "tensors": [
                {"kind": "feed_forward", "split": "ranks", "type": "I32", "bytes": 3000},
                {"kind": "attention", "split": "key heads", "type": "BF16", "bytes": 400},
                {"kind": "norm", "split": "no", "type": "F32", "bytes": 128, "held_bytes": 64},
            ],
        }
    ],
    "outside": [
        {"kind": "embedding", "split": "ranks", "type": "BF16", "bytes": 128_000},
        {"kind": "head", "split": "ranks", "type": "BF16", "bytes": 128_000},
        {"kind": "norm", "split": "no", "type": "BF16", "bytes": 128},
    ],
}  # fmt: skip


def written(folder: Path, changes: dict[str, Any]) -> Path:
    path = folder / "owner--small.json"
    path.write_text(json.dumps(FILE | changes))
    return path


def test_every_shipped_file_is_whole() -> None:
    paths = list(FOLDER.glob("*.json"))
    assert len(paths) >= 29
    for path in paths:
        assert known_model(read(path).repository) is not None


def test_a_rank_holds_its_share_of_what_the_files_name(tmp_path: Path) -> None:
    """Four ranks divide the feed-forward part by four, the two key heads by two, and norms not at all."""
    known = read(written(tmp_path, {}))
    ((_, stage),) = stages(known.architecture, known.precision, engine(4, max_model_len=512), known.sums)
    layer = 3000 // 4 + 400 // 2 + 64
    rotary = 2 * 512 * 16
    assert known.precision == "int4"
    assert stage.weights == 2 * layer + 2 * 128_000 // 4 + 128 + rotary


def test_a_stage_holds_its_own_layers_only(tmp_path: Path) -> None:
    known = read(written(tmp_path, {}))
    two_stages = engine(1, 2, max_model_len=512)
    first, last = (stage.weights for _, stage in stages(known.architecture, known.precision, two_stages, known.sums))
    layer, rotary = 3000 + 400 + 64, 2 * 512 * 16
    assert (first, last) == (layer + 128_000 + rotary, layer + 128_000 + 128 + rotary)


EDITED: dict[str, tuple[dict[str, Any], str]] = {
    "sum": ({"bytes": 1}, "bytes: 1, and the tensors add up to"),
    "key": ({"size": 1}, "size"),
    "type": ({"layers": [{"first": "0", "last": 1, "tensors": []}]}, "layers.0.first"),
    "branch": ({"commit": "main"}, "commit: main is no full commit"),
    "architecture": ({"model_type": "mamba"}, "model_type: mamba is none of"),
    "missing number": ({"config": {"hidden_size": 64}}, "config: lacks intermediate_size"),
    "number of another": ({"config": LLAMA | {"kv_lora_rank": 1}}, "config: kv_lora_rank"),
    "hole": ({"layers": [{"first": 1, "last": 1, "tensors": []}]}, "layers: 1 to 1 follow 0 layers"),
    "too few layers": ({"layers": []}, "layers: there are 0, and config has 2"),
    "quantization": ({"quantization": {"quant_method": "marvel"}}, "quantization: quant_method 'marvel'"),
    "derived": ({"source": "derived", "layers": []}, "layers: there are none, and int4 weights have no formula"),
    "release": ({"least_vllm": "0.32"}, "least_vllm"),
    "name": ({"repository": "owner/other"}, "repository: owner/other belongs into another file"),
}


@pytest.mark.parametrize(("changes", "said"), EDITED.values(), ids=EDITED.keys())
def test_a_file_edited_by_hand_is_refused_by_file_and_field(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadModelFile) as refused:
        read(written(tmp_path, changes))
    assert str(refused.value).startswith("planning/models/owner--small.json: ")
    assert said in str(refused.value)
