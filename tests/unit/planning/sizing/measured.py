"""What vLLM 0.22.0 reported on NVIDIA H100 80GB HBM3 (79.18 GiB by cudaMemGetInfo), torch 2.11 with CUDA 13.

Driver 580, on 2026-11-24.

DeepSeek-V3's real layer dimensions with fewer layers and random weights; two GPUs and Ray, or one GPU. BF16 KV cache.
FlashInfer was not installed, so experts ran on Triton kernels.
"""

from dataclasses import dataclass
from typing import Any

from tests.unit.planning.stacks import V3_BF16, V3_FP8, Raw, raw


@dataclass(frozen=True)
class Row:
    """One start of vLLM: what it was told, and what it said."""

    layers: int
    tensor: int
    pipeline: int
    batch: int
    kv_tokens: int
    """What it reported; where it refused for lack of room, the longest request that it estimated, and 0 where there
    was none."""
    weights_gib: float
    """Of the stage with most."""
    precision: str = "bf16"
    eager: bool = True
    utilization: float = 0.8
    length: int = 16384
    requests: int | None = None
    refused: bool = False

    def stack(self) -> Raw:
        serving: dict[str, Any] = {
            "gpuMemoryUtilization": self.utilization,
            "maxModelLen": self.length,
            "maxNumBatchedTokens": self.batch,
            "enforceEager": self.eager,
            "tensorParallelSize": self.tensor,
            "pipelineParallelSize": self.pipeline,
            "extraArgs": ["--max-num-seqs", str(self.requests)] if self.requests else [],
        }
        return raw(
            model={
                "repository": V3_FP8 if self.precision == "fp8" else V3_BF16,
                "architecture": {"num_hidden_layers": self.layers},
            },
            hardware={"gpu": "NVIDIA-H100-80GB-HBM3", "gpusPerNode": self.tensor * self.pipeline, "nodes": 1},
            serving=serving,
        )


ROWS = {
    "TP 2, first start on a machine": Row(7, 2, 1, 8192, 1_532_208, 46.37),
    "TP 2, graphs": Row(7, 2, 1, 8192, 1_322_544, 46.37, eager=False),
    "TP 2, small batch": Row(7, 2, 1, 2048, 2_894_096, 46.37, utilization=0.9),
    "TP 2, small batch, graphs": Row(7, 2, 1, 2048, 2_594_528, 46.37, eager=False, utilization=0.9),
    "TP 2, large batch": Row(7, 2, 1, 16384, 1_293_280, 46.37),
    "TP 2, FP8": Row(7, 2, 1, 8192, 4_555_760, 24.21, precision="fp8"),
    "PP 2": Row(5, 1, 2, 8192, 5_521_904, 44.63),
    "PP 2, graphs": Row(5, 1, 2, 8192, 3_579_952, 44.63, eager=False),
    "one GPU": Row(4, 1, 1, 8192, 6_964_224, 28.18),
    "one GPU, largest batch": Row(4, 1, 1, 32768, 5_784_544, 28.18),
    "one GPU, small batch, graphs": Row(4, 1, 1, 2048, 8_007_488, 28.18, eager=False, utilization=0.9),
    "one GPU, few short requests": Row(4, 1, 1, 8192, 7_430_256, 28.18, length=4096, requests=64),
    "one GPU, few requests, graphs": Row(4, 1, 1, 8192, 6_542_336, 28.18, eager=False, requests=128),
    "one GPU, FP8": Row(7, 1, 1, 8192, 1_088_064, 48.26, precision="fp8"),
    "one GPU, 5 layers, small batch": Row(5, 1, 1, 2048, 3_117_440, 49.62, utilization=0.9),
    "one GPU, 5 layers, long": Row(5, 1, 1, 16384, 2_250_416, 49.62, utilization=0.9, length=163840),
    "one GPU, 5 layers, few short requests": Row(
        5, 1, 1, 8192, 3_118_768, 49.62, utilization=0.9, length=4096, requests=64
    ),
    "one GPU, 5 layers, largest batch": Row(5, 1, 1, 32768, 1_259_360, 49.62, utilization=0.9),
    "refused, too long": Row(4, 1, 1, 8192, 137_744, 28.18, utilization=0.43, length=163840, refused=True),
    "refused, no room": Row(4, 1, 1, 8192, 0, 28.18, utilization=0.42, length=163840, refused=True),
}

LATER_START = Row(7, 2, 1, 8192, 1_605_616, 46.37)
"""The first row again, on a machine whose kernels were compiled: 4.6 % more, which the plan leaves out."""
