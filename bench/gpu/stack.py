"""The stack that is measured: a model with few of its layers, on one node."""

import math
from collections.abc import Mapping
from typing import Any

V3_BF16, V3_FP8 = "opensourcerelease/DeepSeek-V3-bf16", "deepseek-ai/DeepSeek-V3"


def stack(gpu: str, layers: int, repository: str, serving: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the sections of its stack file.

    `gpu` is the node label, `repository` OWNER/NAME of a file of planning/models, `serving` more keys of that section.
    """
    return {
        "model": {
            "repository": f"https://huggingface.co/{repository}",
            "architecture": {"num_hidden_layers": layers},
        },
        "hardware": {"gpu": gpu, "gpusPerNode": ranks(serving), "nodes": 1},
        "storage": {"size": "3Ti"},
        "image": {"push": "registry.example.com/team"},
        "serving": {"authentication": "none", **serving},
    }


def repository_of(row: Mapping[str, Any]) -> str:
    """Which model a row is of. The first rows tell the precision of V3 only."""
    return row.get("repository") or (V3_FP8 if row["precision"] == "fp8" else V3_BF16)


def ranks(serving: dict[str, Any]) -> int:
    """How many GPUs a layout takes."""
    sizes = ("tensorParallelSize", "pipelineParallelSize", "dataParallelSize")
    return math.prod(serving.get(size, 1) for size in sizes)
