"""Whether one GPU is sound: how fast it multiplies and copies, and whether it gets the same result twice.

A GPU that is throttled, or has a bad link to its host, is slower than its peers. On CPUs a rank does a little of the
same.
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false
# Only the serving image has torch.

import time
from collections.abc import Callable
from typing import Any

import torch

MiB, GB, TERA = 1 << 20, 1e9, 1e12
FROM_HOST_BYTES = 256 * MiB


def check(device: torch.device) -> list[dict[str, Any]]:
    """Return the figures: TFLOP/s of a BF16 product, GB/s read and written in memory, GB/s from the host's memory."""
    on_gpu = device.type == "cuda"
    size, copied, dtype = (8192, 1024 * MiB, torch.bfloat16) if on_gpu else (512, 32 * MiB, torch.float32)
    factors = [torch.randn(size, size, device=device, dtype=dtype) for _ in range(2)]
    expected = torch.matmul(*factors)
    seconds = per_run(lambda: torch.matmul(*factors), 100 if on_gpu else 3, device)
    source = torch.ones(copied, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    copy_seconds = per_run(lambda: target.copy_(source), 20 if on_gpu else 3, device)
    right = torch.equal(torch.matmul(*factors), expected) and torch.equal(target, source)
    found: dict[str, Any] = {
        "figure": "processor",
        "teraflops": 2 * size**3 / seconds / TERA,
        "memory": 2 * copied / copy_seconds / GB,
        "right": right,
    }
    if not on_gpu:
        return [found]
    host = torch.empty(FROM_HOST_BYTES, dtype=torch.uint8, pin_memory=True)
    seconds = per_run(lambda: target[:FROM_HOST_BYTES].copy_(host, non_blocking=True), 3, device)
    return [found, {"figure": "from host", "gigabytes": FROM_HOST_BYTES / seconds / GB}]


def per_run(run: Callable[[], Any], repeats: int, device: torch.device) -> float:
    """Return the seconds that one of so many runs takes, after one that is not counted."""
    run()
    _synchronize(device)
    began = time.perf_counter()
    for _ in range(repeats):
        run()
    _synchronize(device)
    return (time.perf_counter() - began) / repeats


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
