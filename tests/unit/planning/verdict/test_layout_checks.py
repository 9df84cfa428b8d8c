"""Layouts that vLLM cannot run, each with the nearest one that it can."""

from typing import Any

import pytest

from tests.unit.planning.stacks import DISTILLED, LITE, V3_FP8, plan, raw, repaired

H200: dict[str, Any] = {"gpu": "NVIDIA-H200", "nodes": 1}
FP8: dict[str, Any] = {"repository": V3_FP8}
REFUSALS: dict[str, tuple[dict[str, dict[str, Any]], str, str]] = {
    "ranks are not GPUs": (
        {"serving": {"dataParallelSize": 4, "tensorParallelSize": 4, "pipelineParallelSize": 1}},
        "serving.tensorParallelSize",
        "data parallel 4 × tensor parallel 4 × pipeline parallel 1 is 16 ranks, but 4 × 8 is 32 GPUs",
    ),
    "copies over nodes": (
        {"serving": {"dataParallelSize": 2, "tensorParallelSize": 8, "pipelineParallelSize": 2}},
        "serving.dataParallelSize",
        "each of 2 data-parallel ranks has 8 × 2 = 16 GPUs, and lies within a node",
    ),
    "slices too thin": (
        {"model": FP8, "hardware": {"gpu": "NVIDIA-H200"}, "serving": {"dataParallelSize": 32}},
        "serving.dataParallelSize",
        "2048 / 32 = 64 is not a multiple of 128 → serving.expertParallel: true",
    ),
    "no experts": (
        {"model": {"repository": DISTILLED}, "hardware": {"nodes": 1}, "serving": {"expertParallel": True}},
        "serving.expertParallel",
        "the model has no experts → without serving.expertParallel",
    ),
    "more ranks than experts": (
        {
            "model": {"repository": LITE},
            "hardware": {"gpu": "NVIDIA-H200", "nodes": 16},
            "serving": {"dataParallelSize": 128, "expertParallel": True},
        },
        "serving.expertParallel",
        "128 ranks share 64 experts",
    ),
    "cache does not divide": (
        {"serving": {"decodeContextParallelSize": 3}},
        "serving.decodeContextParallelSize",
        "tensor parallel 8, which 3 does not divide → serving.decodeContextParallelSize: 4",
    ),
    "key heads are not copied": (
        {"model": {"repository": DISTILLED}, "hardware": {"nodes": 1}, "serving": {"decodeContextParallelSize": 2}},
        "serving.decodeContextParallelSize",
        "there are 8 key heads → without serving.decodeContextParallelSize",
    ),
    "sparse attention that does not divide": (
        {
            "model": {"repository": "https://huggingface.co/deepseek-ai/DeepSeek-V3.2"},
            "hardware": {"gpu": "NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition", "nodes": 4},
            "serving": {"decodeContextParallelSize": 8},
        },
        "serving.decodeContextParallelSize",
        "FLASHINFER_MLA_SPARSE_SM120 → without serving.decodeContextParallelSize",
    ),
    "FP8 cache on an A100": (
        {"serving": {"kvCacheDtype": "fp8"}},
        "serving.kvCacheDtype",
        "TRITON_MLA has no such KV cache",
    ),
    "no layer for further tokens": (
        {"model": {"repository": LITE}, "serving": {"speculative": 1}},
        "serving.speculative",
        "num_nextn_predict_layers is 0 → without serving.speculative",
    ),
    "CPUs for Ray": (
        {"model": FP8, "hardware": {**H200, "cpu": "3500m"}, "serving": {
            "dataParallelSize": 8, "expertParallel": True, "maxNumBatchedTokens": 2048, "gpuMemoryUtilization": 0.92,
        }},
        "hardware.cpu",
        "each of its 8 data-parallel ranks takes a CPU from Ray",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "key", "said"), REFUSALS.values(), ids=REFUSALS.keys())
def test_refused_by_key_with_the_nearest_that_works(change: dict[str, Any], key: str, said: str) -> None:
    refused = plan(**change)
    about = [problem for problem in refused.problems if problem.key == key]
    assert len(about) == 1, refused.problems
    found, _, mend = said.partition(" → ")
    assert found in about[0].text
    assert mend in about[0].suggestion
    assert repaired(raw(**change)).fits


def test_all_faults_of_a_layout_come_together_with_one_layout() -> None:
    refused = plan(
        model=FP8,
        hardware=H200,
        serving={"dataParallelSize": 3, "decodeContextParallelSize": 3, "tensorParallelSize": 4},
    )
    assert [problem.key for problem in refused.problems] == [
        "serving.tensorParallelSize",
        "serving.dataParallelSize",
        "serving.decodeContextParallelSize",
    ]
    assert {problem.suggestion for problem in refused.problems} == {
        "serving.dataParallelSize: 2 and serving.decodeContextParallelSize: 4"
    }


def test_what_cpus_cannot_do() -> None:
    asked: dict[str, Any] = {"expertParallel": True, "decodeContextParallelSize": 2, "kvCacheDtype": "fp8"}
    stack = on_cpus(**asked, dataParallelSize=2)
    refused = plan(**stack)
    assert [problem.key for problem in refused.problems] == [f"serving.{key}" for key in asked]
    assert repaired(stack).fits


def on_cpus(**serving: object) -> dict[str, Any]:
    return raw(hardware={"gpu": "none", "gpusPerNode": 2, "nodes": 2}, storage={"size": "3Ti"}, serving=serving)


def test_on_cpus_each_pod_has_one_data_parallel_rank() -> None:
    assert plan(**on_cpus(dataParallelSize=2)).fits
    two_in_a_pod = on_cpus(dataParallelSize=4)
    (problem,) = plan(**two_in_a_pod).problems
    assert problem.key == "serving.dataParallelSize"
    assert problem.suggestion.startswith("serving.dataParallelSize: 2 and serving.tensorParallelSize: 2")
    assert repaired(two_in_a_pod).fits


@pytest.mark.parametrize(
    ("key", "value", "flag"),
    [
        ("kvCacheDtype", "fp8", "--kv-cache-dtype=auto"),
        ("expertParallel", True, "--enable-expert-parallel"),
        ("decodeContextParallelSize", 8, "-dcp=4"),
        ("speculative", 1, "--spec-tokens=2"),
    ],
)
def test_a_key_and_a_flag_do_not_say_the_same(key: str, value: object, flag: str) -> None:
    both = plan(model=FP8, hardware=H200, serving={key: value, "extraArgs": [flag]})
    assert [problem.key for problem in both.problems] == ["serving.extraArgs"]
    assert f"beside serving.{key}, which gives it" in both.problems[0].text
    assert plan(model=FP8, hardware={**H200, "nodes": 2}, serving={"extraArgs": [flag]}).fits


@pytest.mark.parametrize(
    ("flag", "serving"),
    [
        ("--enable-return-routed-experts", {}),
        ("--enable-return-routed-experts", {"dataParallelSize": 4, "decodeContextParallelSize": 2}),
        ("--enable-eplb", {}),
    ],
)  # fmt: skip
def test_flags_that_want_another_layout(flag: str, serving: dict[str, Any]) -> None:
    refused = plan(hardware={"gpu": "NVIDIA-H200"}, serving={**serving, "extraArgs": [flag]})
    assert [problem.key for problem in refused.problems] == ["serving.extraArgs"]


def test_experts_may_be_moved_where_ranks_hold_whole_ones() -> None:
    assert plan(serving={"expertParallel": True, "extraArgs": ["--enable-eplb"]}).fits


def test_without_a_written_split_a_copy_has_what_remains_of_the_gpus() -> None:
    copies = plan(hardware={"gpu": "NVIDIA-H200"}, serving={"dataParallelSize": 4})
    assert str(copies.sizes) == "data 4 × tensor 8 × pipeline 1"
    assert copies.fits, copies.problems
    within = plan(hardware={"gpu": "NVIDIA-H200"}, serving={"dataParallelSize": 8, "pipelineParallelSize": 2})
    assert str(within.sizes) == "data 8 × tensor 2 × pipeline 2"


def test_experts_over_several_nodes_are_told() -> None:
    across, within = (
        plan(model=FP8, hardware={"gpu": "NVIDIA-H200", "nodes": nodes}, serving={"dataParallelSize": nodes * 2})
        for nodes in (2, 1)
    )
    assert any("data parallel 4 spans nodes" in note for note in across.warnings)
    assert not any("spans nodes" in note for note in within.warnings)


def test_more_nodes_are_suggested_with_more_copies() -> None:
    (problem,) = plan(hardware={"gpu": "NVIDIA-H200", "nodes": 1}, serving={"dataParallelSize": 2}).problems
    assert "hardware.nodes: 2 and serving.dataParallelSize: 4" in problem.suggestion
