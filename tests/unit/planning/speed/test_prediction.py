"""What is predicted of stacks."""

import json
from typing import Any

import pytest

from planning.plan import Plan
from planning.render import as_json, as_text
from planning.sizing.gpus import TABLE
from planning.speed.prediction import REQUESTS
from tests.unit.planning.stacks import V3_FP8, plan

KEYS = [str(requests) for requests in REQUESTS]


def rates(planned: Plan) -> dict[int, float]:
    assert planned.prediction
    return {n: found.output_tokens_per_second for n, found in planned.prediction.speeds.items()}


def test_the_json_has_stable_names() -> None:
    predicted: Any = json.loads(json.dumps(as_json(plan(hardware={"pricePerGpuHour": 1.8}))))["predicted"]
    for name in (
        "outputTokensPerSecond",
        "physicalLimitTokensPerSecond",
        "timeToFirstTokenSeconds",
        "timePerOutputTokenSeconds",
        "costPerMillionOutputTokens",
    ):
        assert list(predicted[name]) == KEYS
        assert all(value > 0 for value in predicted[name].values())
    assert predicted["startSeconds"] > predicted["laterStartSeconds"] > 60
    assert any("100 Gbit/s" in text and "network.bandwidth" in text for text in predicted["assumed"])


ARM64 = ("NVIDIA-GB200", "NVIDIA-GB300")
LARGE = [gpu.product for gpu in TABLE.values() if gpu.memory_gib > 75 and gpu.product not in ARM64]
"""GPUs that hold the model; nodes with GB200 or GB300 are arm64, which is refused."""


@pytest.mark.parametrize("gpu", LARGE)
@pytest.mark.parametrize("layout", [(8, 4), (4, 8), (16, 2), (32, 1)])
def test_no_prediction_is_above_the_physical_limit(gpu: str, layout: tuple[int, int]) -> None:
    tensor, pipeline = layout
    serving = {"tensorParallelSize": tensor, "pipelineParallelSize": pipeline, "maxModelLen": 4096}
    planned = plan(hardware={"gpu": gpu}, serving=serving)
    prediction = planned.prediction
    assert prediction, planned.problems
    for requests, found in prediction.speeds.items():
        assert 0 < found.output_tokens_per_second < prediction.limits[requests]


def test_more_requests_at_once_get_more_tokens_until_vllm_takes_no_more() -> None:
    found = rates(plan())
    assert found[1] < found[16] < found[64] < found[256]
    assert found[1024] == found[256], "an A100 takes 256 requests at once"


def test_a_pipeline_gives_one_request_nothing() -> None:
    """Its token passes one stage after the other."""
    model: dict[str, Any] = {"repository": V3_FP8}
    one = plan(model=model, hardware={"gpu": "NVIDIA-H200", "nodes": 1})
    four = plan(model=model, hardware={"gpu": "NVIDIA-H200", "nodes": 4})
    assert rates(four)[1] < rates(one)[1]
    assert rates(four)[256] > 1.5 * rates(one)[256]


def test_a_faster_network_helps_a_layer_that_lies_on_several_nodes() -> None:
    across = {"tensorParallelSize": 32, "pipelineParallelSize": 1}
    slow = plan(serving=across, network={"bandwidth": 10})
    fast = plan(serving=across, network={"bandwidth": 1600})
    assert rates(fast)[64] > 1.5 * rates(slow)[64]
    assert fast.prediction
    assert not any("network.bandwidth" in text for text in fast.prediction.assumed)


def test_without_graphs_most_of_the_speed_is_gone() -> None:
    assert rates(plan(serving={"enforceEager": True}))[1] < 0.5 * rates(plan())[1]


def test_the_cost_of_a_million_tokens_follows_from_price_and_rate() -> None:
    planned = plan(hardware={"pricePerGpuHour": 1.8})
    assert planned.prediction
    assert planned.prediction.cost_per_million(64) == pytest.approx(32 * 1.8 / 3600 / rates(planned)[64] * 1e6)
    assert plan().summary().keys().isdisjoint({"cost per million output tokens"})


def test_the_cache_bounds_how_many_requests_run_at_once() -> None:
    hardware: dict[str, Any] = {"gpu": "NVIDIA-H200", "nodes": 1}
    planned = plan(model={"repository": V3_FP8}, hardware=hardware)
    assert planned.kv_cache_tokens < 1024 * 2048
    assert planned.prediction
    assert planned.prediction.speeds[1024].time_to_first_token > 10 * planned.prediction.speeds[64].time_to_first_token


def test_requests_are_as_long_as_the_longest_at_most() -> None:
    prediction = plan(serving={"maxModelLen": 1000}).prediction
    assert prediction
    assert (prediction.prompt_tokens, prediction.answer_tokens) == (500, 500)
    assert any("maxModelLen" in text for text in prediction.assumed)


NOT_PREDICTED: dict[str, tuple[dict[str, dict[str, Any]], str]] = {
    "CPUs": ({"hardware": {"gpu": "none", "gpusPerNode": 1}}, "on CPUs"),
    "refused": ({"hardware": {"nodes": 2}}, "refused"),
    "unknown GPU": (
        {"hardware": {"gpu": "NVIDIA-B300", "gpuMemoryGiB": 268.0}},
        "how fast a NVIDIA-B300 is",
    ),
}


@pytest.mark.parametrize(("sections", "reason"), NOT_PREDICTED.values(), ids=NOT_PREDICTED.keys())
def test_where_there_is_no_prediction_the_plan_says_why(sections: dict[str, dict[str, Any]], reason: str) -> None:
    planned = plan(**sections)
    found = as_json(planned)
    assert found["predicted"] is None
    assert reason in str(found["notPredicted"])
    assert f"No prediction of its speed: {planned.not_predicted}." in as_text(planned)
