"""The layouts of a stack's hardware: each can be written, and is then planned as it was shown."""

import json
from typing import Any

import pytest

from planning.parse import parse
from planning.plan import Plan, make_plan
from planning.render import as_json, as_text
from planning.verdict.suggestions import changed
from tests.unit.planning.stacks import DISTILLED, V3_BF16, V3_FP8, Raw, raw

ONE_NODE: dict[str, Any] = {"gpu": "NVIDIA-H200", "nodes": 1, "pricePerGpuHour": 2.0}
H200 = raw(model={"repository": V3_FP8}, hardware=ONE_NODE, serving={"gpuMemoryUtilization": 0.92})
STACKS: dict[str, Raw] = {
    "the article's": raw(),
    "8 H200": H200,
    "divided cache": raw(model={"repository": V3_FP8}, hardware=ONE_NODE, serving={"decodeContextParallelSize": 8}),
    "copies": raw(
        model={"repository": V3_FP8},
        hardware={"gpu": "NVIDIA-H200", "nodes": 2},
        serving={"dataParallelSize": 4, "expertParallel": True, "kvCacheDtype": "fp8", "gpuMemoryUtilization": 0.92},
    ),
    "written split": raw(hardware={"gpu": "NVIDIA-H200"}, serving={"tensorParallelSize": 4, "pipelineParallelSize": 8}),
    "grouped attention": raw(model={"repository": DISTILLED}, hardware={"gpusPerNode": 4, "nodes": 1}),
    "refused": raw(hardware={"nodes": 2}),
}


def planned(stack: Raw, **serving: Any) -> Plan:
    return make_plan(parse({**stack, "serving": {**stack["serving"], **serving}}))


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS.keys())
def test_a_layout_that_is_written_is_planned_as_it_was_shown(stack: Raw) -> None:
    settings, layouts = parse(stack), planned(stack).layouts
    assert len(layouts) > 1
    for layout in layouts:
        plan = make_plan(changed(settings, layout.changes))
        assert plan.fits, (layout.changes, plan.problems)
        assert (plan.sizes, plan.kv_cache_tokens) == (layout.sizes, layout.kv_cache_tokens)
        assert plan.prediction
        for requests in (1, 64, 1024):
            assert plan.prediction.speeds[requests].output_tokens_per_second == layout.tokens_per_second(requests)


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS.keys())
def test_none_comes_twice_and_the_own_one_is_among_them_if_it_fits(stack: Raw) -> None:
    plan = planned(stack)
    written = [json.dumps(layout.changes, sort_keys=True) for layout in plan.layouts]
    assert len(set(written)) == len(written)
    seen = [(found.sizes, found.stack.precision, found.nodes, found.stack.kv_cache_dtype) for found in plan.layouts]
    assert len(set(seen)) == len(seen)
    assert written.count("{}") == plan.fits


def test_other_weights_and_a_part_of_the_nodes_count() -> None:
    """V3 in FP8 on the article's four nodes holds more than twice the tokens, and it fits on two of them."""
    found = planned(raw()).layouts
    own = next(layout for layout in found if not layout.changes)
    fp8 = next(layout for layout in found if layout.changes == {"model.repository": V3_FP8})
    assert fp8.kv_cache_tokens > 2 * own.kv_cache_tokens
    assert {"model.repository": V3_FP8, "hardware.nodes": 2} in [layout.changes for layout in found]
    back = planned(raw(model={"repository": V3_FP8}, hardware={"gpu": "NVIDIA-H200"})).layouts
    assert any(layout.changes.get("model.repository") == V3_BF16 for layout in back)


@pytest.mark.parametrize(
    ("purpose", "best"),
    [
        ("throughput", "data 8 × tensor 1 × pipeline 1"),
        ("latency", "tensor 8 × pipeline 1"),
        ("context", "tensor 8 × pipeline 1, KV cache divided by 8"),
    ],
)
def test_the_best_for_the_purpose_comes_first(purpose: str, best: str) -> None:
    found = planned(H200, purpose=purpose).layouts
    assert str(found[0].sizes) == best
    worth = [layout.worth(layout.stack.settings.serving.purpose) for layout in found]
    assert worth == sorted(worth, reverse=True)


def test_copies_get_smaller_batches_where_their_size_is_not_written() -> None:
    changes = [layout.changes for layout in planned(H200).layouts if layout.sizes.data_parallel_size == 8]
    assert {change["serving.maxNumBatchedTokens"] for change in changes} == {2048}
    written = [layout.changes for layout in planned(H200, maxNumBatchedTokens=1024).layouts]
    assert not any("serving.maxNumBatchedTokens" in change for change in written)


def test_a_preview_says_what_another_layout_would_hold_and_do() -> None:
    hold, do = planned(H200).hints
    assert "times the tokens of KV cache" in hold
    assert "with serving.decodeContextParallelSize: 8" in hold
    assert "tokens/s of 1,024 requests, as predicted" in do


def test_nothing_is_said_where_no_layout_is_much_better() -> None:
    assert planned(H200, decodeContextParallelSize=8, kvCacheDtype="fp8", purpose="context").hints == []
    latency = planned(H200, purpose="latency").hints
    assert not any("tokens/s" in hint for hint in latency)


@pytest.mark.parametrize(
    "sections",
    [
        {"hardware": {"gpu": "none", "gpusPerNode": 1}},
        {"model": {"planned": False, "repository": "https://example.com/owner/new"}},
        {"serving": {"extraArgs": ["--enable-lora"]}},
    ],
)
def test_where_memory_is_not_planned_there_is_no_list(sections: dict[str, dict[str, Any]]) -> None:
    plan = make_plan(parse(raw(**sections)))
    assert (plan.layouts, plan.hints) == ([], [])
    assert "Layouts that fit" not in as_text(plan)


def test_json_has_all_of_it_under_stable_names() -> None:
    listed: Any = json.loads(json.dumps(as_json(planned(H200))))["layouts"]
    (own,) = [layout for layout in listed if layout["own"]]
    assert own == {
        "own": True,
        "change": {},
        "dataParallelSize": 1,
        "tensorParallelSize": 8,
        "pipelineParallelSize": 1,
        "expertParallel": False,
        "decodeContextParallelSize": 1,
        "kvCacheDtype": "auto",
        "precision": "fp8",
        "nodes": 1,
        "gpus": 8,
        "kvCacheTokens": planned(H200).kv_cache_tokens,
        "fullLengthRequests": 3.96,
        "requestsAtOnce": planned(H200).kv_cache_tokens // 2048,
        "outputTokensPerSecond": own["outputTokensPerSecond"],
        "costPerHour": 16.0,
        "costPerMillionOutputTokens": own["costPerMillionOutputTokens"],
        "memoryAssumed": [],
    }
    rates, costs = own["outputTokensPerSecond"], own["costPerMillionOutputTokens"]
    assert costs["64"] == pytest.approx(16 / 3600 / rates["64"] * 1e6, rel=0.01)
    assert any(layout["memoryAssumed"] == ["data parallelism"] for layout in listed)


def test_the_text_shows_the_best_and_this_stack() -> None:
    lines = as_text(planned(H200)).splitlines()
    heading = next(n for n, line in enumerate(lines) if line.startswith("Layouts that fit, best first for throughput"))
    assert lines[heading + 2].startswith("data 8 × tensor 1")
    assert sum("<- this stack" in line for line in lines[heading:]) == 1
