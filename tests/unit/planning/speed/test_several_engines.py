"""Several engines share the requests."""

from planning.parse import parse
from planning.plan import make_plan
from planning.settings.sections import StackSettings


def stack(engines: int) -> StackSettings:
    return parse(
        {
            "model": {"repository": "https://huggingface.co/opensourcerelease/DeepSeek-V3-bf16"},
            "hardware": {"gpu": "NVIDIA-A100-SXM4-80GB", "gpusPerNode": 8, "nodes": 4, "pricePerGpuHour": 1.8},
            "serving": {"engines": engines, "gpuMemoryUtilization": 0.8},
            "storage": {"size": "3Ti"},
            "image": {"push": "registry.example.com/team"},
            "endpoint": {"proxy": True, "image": f"registry.example.com/haproxy@sha256:{64 * 'a'}"},
        }
    )


def test_one_request_keeps_one_engine_busy_and_many_keep_all() -> None:
    one, two = (make_plan(stack(engines)).prediction for engines in (1, 2))
    assert one
    assert two
    assert two.speeds[1].output_tokens_per_second == one.speeds[1].output_tokens_per_second
    assert two.speeds[1024].output_tokens_per_second == 2 * one.speeds[1024].output_tokens_per_second
    assert one.speeds[64].output_tokens_per_second < two.speeds[64].output_tokens_per_second
    assert two.speeds[64].time_per_output_token < one.speeds[64].time_per_output_token
    assert two.limits[1024] == 2 * one.limits[1024]
    assert two.cost_per_million(1024) == one.cost_per_million(1024)


def test_the_summary_has_all_gpus_and_what_they_cost() -> None:
    summary = make_plan(stack(2)).summary()
    assert (summary["engines"], summary["GPUs"], summary["cost an hour"]) == ("2, of 32 GPUs each", 64, 115.2)
    assert "engines" not in make_plan(stack(1)).summary()
