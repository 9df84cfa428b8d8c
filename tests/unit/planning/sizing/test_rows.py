"""The plan against rows that `python -m bench.gpu` measured with the locked vLLM."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.gpu.stack import repository_of
from planning.parse import parse
from planning.plan import Plan, make_plan
from planning.release import VLLM
from planning.settings.quantities import GiB
from planning.settings.sections import StackSettings
from planning.sizing.capacity import Capacity, Rank
from planning.sizing.resolved import ResolvedStack
from tests.unit.planning.stacks import raw

CHECKOUT = Path(__file__).parents[4]
ROWS: list[dict[str, Any]] = json.loads((CHECKOUT / "bench/gpu/rows.json").read_text())
KEYS: dict[str, dict[str, Any]] = {
    '--speculative-config={"method":"deepseek_mtp","num_speculative_tokens":1}': {"speculative": 1},
    "--data-parallel-size=2": {"dataParallelSize": 2},
    "--data-parallel-backend=ray": {},
    "--data-parallel-size-local=2": {},
    "--enable-expert-parallel": {"expertParallel": True},
}
"""What flags of rows are now that were measured before there were keys for them."""


def by_key(row: dict[str, Any]) -> dict[str, Any]:
    serving = dict(row["serving"])
    for flag in serving.pop("extraArgs", []):
        serving |= KEYS[flag]
    return {**row, "serving": serving}


OF_THE_LOCK = [by_key(row) for row in ROWS if row["versions"]["vllm"] == VLLM]
PINNED = [row for row in OF_THE_LOCK if row["kv_cache_memory_bytes"]]


def named(row: Mapping[str, Any]) -> str:
    return f"{row['gpu']['name']}, {row['layers']} layers, {row['precision']}, {row['serving']}"


def configured(row: Mapping[str, Any]) -> StackSettings:
    serving: dict[str, Any] = row["serving"]
    sizes = ("tensorParallelSize", "pipelineParallelSize", "dataParallelSize")
    ranks = math.prod(serving.get(size, 1) for size in sizes)
    stack = raw(
        model={
            "repository": f"https://huggingface.co/{repository_of(row)}",
            "architecture": {"num_hidden_layers": row["layers"]},
        },
        hardware={"gpu": row["gpu"]["name"].replace(" ", "-"), "gpusPerNode": ranks, "nodes": 1},
        # A row says every key that was not left to its default.
        serving={"gpuMemoryUtilization": None, **serving},
    )
    return parse(stack)


def planned(row: Mapping[str, Any]) -> Plan:
    return make_plan(configured(row))


def ranks(row: Mapping[str, Any]) -> Sequence[Rank]:
    """What is planned of a repository's own files, too, which no stack file may cut down to few layers."""
    deployment = ResolvedStack(configured(row)).deployment
    assert deployment
    return Capacity(deployment).ranks


def test_the_plan_is_of_the_locked_vllm() -> None:
    lock = (CHECKOUT / "images/ray-vllm/requirements-cuda.txt").read_text()
    assert re.findall(r"^vllm==(\S+)", lock, re.MULTILINE) == [VLLM]


def test_rows_were_measured_with_the_locked_vllm() -> None:
    assert PINNED, f"measure rows with vLLM {VLLM}: docs/gpu-memory.md says how"


@pytest.mark.parametrize("row", OF_THE_LOCK, ids=named)
def test_weights_are_within_half_a_percent(row: dict[str, Any]) -> None:
    most = max(rank.weights_bytes for rank in ranks(row))
    assert most / GiB == pytest.approx(row["weights_gib"], rel=0.005)


@pytest.mark.parametrize("row", PINNED, ids=named)
def test_vllm_has_the_tokens_that_the_plan_gave_it(row: dict[str, Any]) -> None:
    plan, tokens = planned(row), row["kv_tokens"]
    largest = max(plan.ranks, key=lambda rank: rank.block_bytes)
    for_these_bytes = row["kv_cache_memory_bytes"] // largest.block_bytes * largest.block_tokens
    assert 0.99 * tokens <= for_these_bytes <= 1.01 * tokens
    if "decodeContextParallelSize" not in row["serving"]:  # the plan has learnt from that row to leave it more
        assert 0.99 * tokens <= plan.kv_cache_tokens_of_a_rank <= 1.01 * tokens


@pytest.mark.parametrize("row", [row for row in OF_THE_LOCK if "kv_cache_gib" in row], ids=named)
def test_a_token_takes_the_planned_bytes_of_the_cache(row: dict[str, Any]) -> None:
    """Where vLLM sized its cache itself."""
    [rank] = ranks(row)
    assert row["kv_cache_gib"] * GiB / row["kv_tokens"] == pytest.approx(rank.kv_bytes_per_token, rel=0.002)


def tells_of_memory(row: dict[str, Any]) -> bool:
    return "memory" in row and bool(row.get("rates") or "dataParallelSize" in row["serving"])


@pytest.mark.parametrize("row", list(filter(tells_of_memory, OF_THE_LOCK)), ids=named)
def test_at_any_utilization_the_plan_leaves_a_layout_what_it_was_seen_to_need(row: dict[str, Any]) -> None:
    """Of the first stage, whose memory a row has."""
    plan = planned({**row, "serving": {**row["serving"], "gpuMemoryUtilization": 0.98}})
    assert plan.deployment
    capacity = Capacity(plan.deployment)
    given = row.get("kv_cache_memory_bytes") or row["kv_cache_gib"] * GiB
    beside = row["memory"]["needed_gib"] - given / GiB
    left = plan.deployment.gpu.memory_gib - capacity.ranks[0].kv_cache_bytes / GiB
    assert beside < left < beside + 8


@pytest.mark.parametrize("row", [row for row in OF_THE_LOCK if row.get("heavy_requests")], ids=named)
def test_what_a_load_needed_is_within_what_the_plan_leaves_of_the_gpu(row: dict[str, Any]) -> None:
    deployment = planned(row).deployment
    assert deployment
    terms = deployment.requested_bytes / GiB
    assert row["heavy_failed"] == 0
    assert row["alive_at_the_end"]
    # CUDA's context and NCCL, later kernels, and the headroom that no measured load touched.
    assert terms < row["memory"]["needed_gib"] <= terms + 2.01 + 2.3
    assert row["memory"]["retries"] == 0
