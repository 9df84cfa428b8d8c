"""The plan decides how large the KV cache is, and vLLM is told."""

from typing import Any

import pytest

from components.vllm_server.vllm_arguments import vllm_arguments
from planning.parse import parse
from planning.render import as_json
from tests.unit.planning.stacks import V3_FP8, plan, raw

H200: dict[str, Any] = {"gpu": "NVIDIA-H200", "nodes": 1}


def arguments(**sections: dict[str, Any]) -> list[str]:
    settings = parse(raw(**sections))
    return vllm_arguments(settings.serving, plan(**sections), "/mnt/models/x", model=settings.model, port=8000)


def test_vllm_is_told_the_planned_bytes() -> None:
    planned = plan()
    assert planned.kv_cache_memory_bytes
    assert f"--kv-cache-memory-bytes={planned.kv_cache_memory_bytes}" in arguments()
    assert as_json(planned)["kvCachePinned"] is True


def test_with_stages_of_different_sizes_the_tightest_stage_gets_the_planned_tokens() -> None:
    planned = plan()
    told = planned.kv_cache_memory_bytes
    assert told
    assert min(told // rank.kv_bytes_per_token for rank in planned.ranks) == planned.kv_cache_tokens
    assert all(
        planned.kv_cache_tokens * rank.kv_bytes_per_token <= max(rank.kv_cache_bytes, told) for rank in planned.ranks
    )


@pytest.mark.parametrize("flag", ["--num-gpu-blocks-override=100", "--block_size=64", "--enable-lora"])
def test_vllm_sizes_its_cache_itself_where_the_plan_does_not_follow_a_flag(flag: str) -> None:
    planned = plan(serving={"extraArgs": [flag]})
    assert planned.kv_cache_memory_bytes is None
    assert as_json(planned)["kvCachePinned"] is False
    assert any("sizes its KV cache itself" in warning for warning in planned.warnings)


def test_on_cpus_vllm_is_told_nothing() -> None:
    sections = {"hardware": {"gpu": "none", "gpusPerNode": 1}, "serving": {"maxModelLen": 2048}}
    assert plan(**sections).kv_cache_memory_bytes is None


def test_a_load_finds_room_even_where_the_utilization_leaves_none() -> None:
    sections: dict[str, dict[str, Any]] = {"model": {"repository": V3_FP8}, "hardware": H200}
    usual = plan(**sections, serving={"gpuMemoryUtilization": 0.92})
    most = plan(**sections, serving={"gpuMemoryUtilization": 0.98})
    assert usual.deployment
    assert most.deployment
    [rank] = most.ranks
    terms = rank.weights_bytes + rank.activations_bytes + rank.non_torch_bytes + rank.graphs_bytes + rank.kv_cache_bytes
    assert most.deployment.gpu.memory_bytes - terms >= 5.3 * 2**30
    assert usual.kv_cache_tokens < most.kv_cache_tokens
    assert any("serving.gpuMemoryUtilization: 0.98" in warning for warning in most.warnings)
    assert not any("serving.gpuMemoryUtilization" in warning for warning in usual.warnings)


@pytest.mark.parametrize(
    ("gpu", "tokens"), [("NVIDIA-H200", 512), ("NVIDIA-B200", 1024), ("NVIDIA-B300-SXM6-AC", 1024)]
)
def test_larger_batches_are_captured_on_data_center_blackwell(gpu: str, tokens: int) -> None:
    planned = plan(model={"repository": V3_FP8}, hardware={"gpu": gpu, "gpusPerNode": 8, "nodes": 1})
    assert planned.deployment
    assert planned.deployment.engine.largest_graph == tokens
