"""The stack that is measured: DeepSeek-V3 with few layers, on one node."""

import math
from typing import Any

V3 = {"bf16": "opensourcerelease/DeepSeek-V3-bf16", "fp8": "deepseek-ai/DeepSeek-V3"}


def stack(gpu: str, layers: int, precision: str, serving: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the sections of its stack file; `gpu` is the node label, `serving` more keys of that section."""
    return {
        "model": {
            "repository": f"https://huggingface.co/{V3[precision]}",
            "architecture": {"num_hidden_layers": layers},
        },
        "hardware": {"gpu": gpu, "gpusPerNode": ranks(serving), "nodes": 1},
        "storage": {"size": "3Ti"},
        "image": {"push": "registry.example.com/team"},
        "serving": {"authentication": "none", **serving},
    }


def ranks(serving: dict[str, Any]) -> int:
    """How many GPUs a layout takes."""
    sizes = ("tensorParallelSize", "pipelineParallelSize", "dataParallelSize")
    return math.prod(serving.get(size, 1) for size in sizes)
