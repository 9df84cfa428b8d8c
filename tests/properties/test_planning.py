"""What must hold over the whole space, not only at the points that somebody thought of."""

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planning.parse import parse
from planning.plan import make_plan
from planning.problems import Refused
from planning.sizing.architecture import Architecture
from planning.sizing.capacity import Capacity
from planning.sizing.engine import Engine
from planning.sizing.gpus import TABLE
from planning.sizing.matrices import Precision
from planning.sizing.parallelism import obstacles
from planning.sizing.resolved import Deployment
from tests.sampling import swept
from tests.unit.planning.architectures import (
    DEEPSEEK_V2,
    DEEPSEEK_V2_LITE,
    DEEPSEEK_V3,
    KIMI_K2,
    QWEN_2_32B,
    QWEN_3_8B,
)
from tests.unit.planning.stacks import LITE, V3_BF16, V3_FP8, Raw, raw, repaired

RANDOM_FILES, PARTS = 10_000, 20
TENSOR = [1, 2, 4, 8, 16]
PRECISIONS: list[Precision] = ["bf16", "fp8"]
KNOWN: list[Architecture] = [DEEPSEEK_V3, DEEPSEEK_V2, DEEPSEEK_V2_LITE, KIMI_K2, QWEN_2_32B, QWEN_3_8B]


@st.composite
def deployments(draw: st.DrawFn) -> Deployment:
    architecture: Architecture = draw(st.sampled_from(KNOWN))
    precision = draw(st.sampled_from(PRECISIONS))
    tensor = draw(st.sampled_from([size for size in TENSOR if not obstacles(architecture, precision, size)]))
    engine = Engine(
        tensor_parallel_size=tensor,
        pipeline_parallel_size=draw(st.integers(1, 12)),
        max_model_len=draw(st.integers(16, 163840)),
        max_num_batched_tokens=draw(st.sampled_from([512, 2048, 8192, 16384])),
        max_num_seqs=draw(st.sampled_from([16, 256, 512])),
        enforce_eager=draw(st.booleans()),
    )
    gpu = draw(st.sampled_from(list(TABLE.values())))
    return Deployment(architecture, precision, gpu, engine, draw(st.floats(0.3, 0.95)))


def tokens(deployment: Deployment, **engine: int) -> int:
    return Capacity(replace(deployment, engine=replace(deployment.engine, **engine))).kv_cache_tokens


@settings(deadline=None)
@given(deployments(), st.floats(0, 100))
def test_more_memory_never_holds_less(deployment: Deployment, more: float) -> None:
    larger = replace(deployment, gpu=replace(deployment.gpu, memory_gib=deployment.gpu.memory_gib + more))
    assert Capacity(larger).kv_cache_tokens >= tokens(deployment)


@settings(deadline=None)
@given(deployments(), st.floats(0, 0.05))
def test_more_utilization_never_holds_less(deployment: Deployment, more: float) -> None:
    larger = replace(deployment, utilization=deployment.utilization + more)
    assert Capacity(larger).kv_cache_tokens >= tokens(deployment)


@settings(deadline=None)
@given(deployments(), st.integers(1, 4))
def test_more_nodes_never_hold_less(deployment: Deployment, more: int) -> None:
    stages = deployment.engine.pipeline_parallel_size + more
    assert tokens(deployment, pipeline_parallel_size=stages) >= tokens(deployment)


@settings(deadline=None)
@given(deployments())
def test_wider_tensor_parallelism_never_holds_less(deployment: Deployment) -> None:
    wider = 2 * deployment.engine.tensor_parallel_size
    if not obstacles(deployment.architecture, deployment.precision, wider):
        assert tokens(deployment, tensor_parallel_size=wider) >= tokens(deployment)


@settings(deadline=None)
@given(deployments(), st.integers(0, 163840))
def test_longer_requests_and_larger_batches_never_leave_more(deployment: Deployment, more: int) -> None:
    engine = deployment.engine
    assert tokens(deployment, max_model_len=engine.max_model_len + more) <= tokens(deployment)
    assert tokens(deployment, max_num_seqs=engine.max_num_seqs + more) <= tokens(deployment)


@st.composite
def stacks(draw: st.DrawFn) -> Raw:
    serving = {
        "maxModelLen": draw(st.one_of(st.none(), st.integers(1, 163840))),
        "tensorParallelSize": draw(st.one_of(st.none(), st.sampled_from([1, 2, 3, 4, 8, 16, 64]))),
        "gpuMemoryUtilization": draw(st.floats(0.05, 1.0)),
        "enforceEager": draw(st.booleans()),
        "dataParallelSize": draw(st.sampled_from([1, 1, 2, 3, 8])),
        "expertParallel": draw(st.booleans()),
        "decodeContextParallelSize": draw(st.sampled_from([1, 1, 2, 3, 8])),
        "kvCacheDtype": draw(st.sampled_from(["auto", "fp8"])),
        "speculative": draw(st.one_of(st.none(), st.integers(1, 3))),
    }
    return raw(
        model={"repository": draw(st.sampled_from([V3_BF16, V3_FP8, LITE]))},
        hardware={
            "gpu": draw(st.sampled_from(sorted(TABLE))),
            "gpusPerNode": draw(st.integers(1, 10)),
            "nodes": draw(st.integers(1, 12)),
        },
        storage={
            "size": draw(st.sampled_from(["100Gi", "800Gi", "3Ti"])),
            "accessMode": draw(st.sampled_from(["ReadWriteOnce", "ReadWriteMany"])),
        },
        serving=serving,
    )


@given(stacks())
@settings(max_examples=300, deadline=None)
def test_a_refused_plans_own_suggestion_fits(stack: Raw) -> None:
    plan = make_plan(parse(stack))
    if all(problem.fix is not None for problem in plan.problems):
        assert repaired(stack).fits


def test_few_refusals_are_without_a_suggestion() -> None:
    choose = random.Random(0)
    shapes = [(choose.choice(sorted(TABLE)), choose.randint(1, 6), choose.choice([V3_BF16, V3_FP8])) for _ in range(60)]
    plans = [
        make_plan(parse(raw(model={"repository": repository}, hardware={"gpu": gpu, "nodes": nodes})))
        for gpu, nodes, repository in shapes
    ]
    assert not [plan.problems for plan in plans if not all(problem.suggestion for problem in plan.problems)]


VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    1,
    2,
    3,
    8,
    0.5,
    1.5,
    10**12,
    float("nan"),
    "",
    "none",
    "8",
    "24h",
    "1Ti",
    "fp8",
    [],
    ["--x"],
    {},
    {"a": 1},
    {1: 2},
]
LIKELY: dict[str, dict[str, list[Any]]] = {
    "model": {
        "repository": [V3_BF16, V3_FP8, LITE, "http://h/x.git", "https://u:p@h/x"],
        "revision": ["main", "v1"],
        "precision": ["bf16", "fp8"],
        "architecture": [
            {"num_hidden_layers": 7},
            {"num_attention_heads": 7},
            {"kv_lora_rank": 64, "n_routed_experts": None},
            {"x": 1},
        ],
    },
    "hardware": {
        "gpu": [*TABLE, "none", "NVIDIA-H100"],
        "gpusPerNode": [1, 2, 4, 7, 8],
        "nodes": [1, 2, 4, 9, 1000],
        "gpuMemoryGiB": [2, 24, 192],
        "pricePerGpuHour": [0, 2.5],
    },
    "storage": {
        "size": ["1Gi", "3Ti"],
        "accessMode": ["ReadWriteOnce"],
        "existingClaim": ["weights"],
        "downloadBandwidth": ["1Gbit", "1Mbit"],
        "downloadTimeout": ["1h"],
        "downloadPods": [4],
    },
    "image": {"push": ["registry.example.com/x"], "reference": ["r/x:1"], "fetchReference": ["r/y:1"]},
    "scheduling": {"nodeSelector": [{}, {"a": "b"}], "tolerations": [[{"key": "a"}]]},
    "network": {
        "rdmaResources": [{"rdma/hca": 1}],
        "hostNetwork": [True],
        "hostNetworkIsTrusted": [True],
        "dns": [[{"address": "169.254.20.10"}], [{}]],
    },
    "serving": {
        "gpuMemoryUtilization": [0.1, 0.8, 0.92, 1],
        "tensorParallelSize": [1, 2, 8, 16, 128],
        "pipelineParallelSize": [1, 2, 4, 61],
        "dataParallelSize": [1, 2, 4, 8, 32],
        "expertParallel": [True, False],
        "decodeContextParallelSize": [1, 2, 8],
        "kvCacheDtype": ["auto", "fp8"],
        "speculative": [1, 3],
        "purpose": ["latency", "context"],
        "maxModelLen": [1, 4096, 163840, 10**6],
        "maxNumBatchedTokens": [1, 512, 8192, 10**6],
        "enforceEager": [True],
        "extraArgs": [["--max-num-seqs", "64"], ["--max-num-seqs", "x"], ["--kv-cache-dtype=fp8"], ["-tp", "8"]],
    },
}  # fmt: skip


def random_stack(choose: random.Random) -> dict[str, Any]:
    """Mostly well-formed, so that many reach the arithmetic; with a wrong value or key here and there."""
    stack: dict[str, Any] = raw() if choose.random() < 0.7 else {}
    for section, keys in LIKELY.items():
        for key, values in keys.items():
            if choose.random() < 0.25:
                pool = VALUES if choose.random() < 0.04 else values
                stack.setdefault(section, {})[key] = choose.choice(pool)
    if choose.random() < 0.05:
        stack[choose.choice([*LIKELY, "other"])] = choose.choice(VALUES)
    if choose.random() < 0.05 and isinstance(stack.get("serving"), dict):
        stack["serving"]["unknown"] = choose.choice(VALUES)
    return stack


@pytest.mark.parametrize("part", swept(range(PARTS), sample=4))
def test_random_stack_files_end_in_a_plan_or_a_refusal(part: int) -> None:
    choose = random.Random(part)
    outcomes = {"refused file": 0, "refused plan": 0, "fits": 0}
    for _ in range(RANDOM_FILES // PARTS):
        stack = random_stack(choose)
        try:
            plan = make_plan(parse(stack))
        except Refused as refused:
            outcome, problems = "refused file", refused.problems
        else:
            outcome, problems = "fits" if plan.fits else "refused plan", plan.problems
            assert plan.fits is any(not layout.changes for layout in plan.layouts) or not plan.layouts, stack
        assert bool(problems) is (outcome != "fits"), stack
        assert all(problem.key and problem.text for problem in problems), stack
        outcomes[outcome] += 1
    assert min(outcomes.values()) > RANDOM_FILES // PARTS // 200, outcomes
