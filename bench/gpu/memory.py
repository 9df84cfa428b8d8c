"""What the GPU processes of a vLLM under test held, from the trace that memory_trace/ writes."""

import json
from pathlib import Path
from typing import Any

GiB = 2**30
DEFAULT_POOL = "(0, 0)"


def held(folder: Path) -> dict[str, float]:
    """The most that any rank held, in GiB.

    `allocated` are PyTorch's tensors; `reserved` is what its allocator has from CUDA and keeps; `graph_pools` are the
    segments of CUDA graphs; `outside` is what CUDA's context, NCCL and other libraries hold at the end. `needed` is
    what cannot be given back: allocated + graph_pools + outside. What is reserved beyond it goes back to CUDA when the
    allocator finds no room (`retries` counts how often it did).
    """
    ranks = [rank for rank in map(_rank, sorted(folder.glob("*.jsonl"))) if rank]
    return max(ranks, key=lambda rank: rank["needed_gib"]) if ranks else {}


def _rank(file: Path) -> dict[str, float] | None:
    looks: list[dict[str, Any]] = [json.loads(line) for line in file.read_text().splitlines()]
    looks = [look for look in looks if look.get("reserved", 0) > GiB]
    if not looks:
        return None
    allocated = max(look["allocated_peak"] for look in looks)
    pools = max(
        (
            sum(reserved for name, (reserved, _) in look["pools"].items() if name != DEFAULT_POOL)
            for look in looks
            if "pools" in look
        ),
        default=0,
    )
    outside = looks[-1]["used"] - looks[-1]["reserved"]
    found = {
        "allocated_gib": allocated / GiB,
        "graph_pools_gib": pools / GiB,
        "outside_gib": outside / GiB,
        "needed_gib": (allocated + pools + outside) / GiB,
        "reserved_gib": max(look["reserved"] for look in looks) / GiB,
        "used_gib": max(look["used"] for look in looks) / GiB,
        "retries": max(look["retries"] for look in looks),
    }
    return {name: round(value, 2) for name, value in found.items()}
