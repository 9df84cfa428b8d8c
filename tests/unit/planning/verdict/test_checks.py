"""What a plan refuses and what it warns of, one fault at a time."""

from dataclasses import asdict
from typing import Any

import pytest

from tests.unit.planning.architectures import DEEPSEEK_V3
from tests.unit.planning.stacks import DISTILLED, LITE, V3_FP8, plan, raw, repaired

REFUSALS: dict[str, tuple[dict[str, dict[str, Any]], str, str]] = {
    "unknown model": ({"model": {"repository": "https://example.com/o/n"}}, "model.repository", "model.planned: false"),
    "unknown model with some numbers": (
        {"model": {"repository": "https://example.com/o/n", "architecture": {"hidden_size": 7168}}},
        "model.architecture",
        "not given: intermediate_size",
    ),
    "number of another architecture": (
        {"model": {"repository": DISTILLED, "architecture": {"kv_lora_rank": 512}}},
        "model.architecture.kv_lora_rank",
        "does not have this number",
    ),
    "key heads do not divide": (
        {"model": {"repository": DISTILLED}, "hardware": {"gpusPerNode": 5}},
        "hardware.gpusPerNode",
        "num_key_value_heads 8 neither divides by 5 nor divides it",
    ),
    "unknown GPU": ({"hardware": {"gpu": "NVIDIA-A100-80GB"}}, "hardware.gpu", "NVIDIA-A100-SXM4-80GB"),
    "ranks are not GPUs": (
        {"serving": {"tensorParallelSize": 4}},
        "serving.tensorParallelSize",
        "PipelineParallelSize: 8",
    ),
    "heads do not divide": (
        {"hardware": {"gpusPerNode": 6}},
        "hardware.gpusPerNode",
        "num_attention_heads 128 does not divide by 6",
    ),
    "FP8 blocks do not divide": (
        {"model": {"repository": V3_FP8}, "serving": {"tensorParallelSize": 32, "pipelineParallelSize": 1}},
        "serving.tensorParallelSize",
        "2048 / 32 = 64 is not a multiple of 128",
    ),
    "more stages than layers": (
        {"model": {"architecture": {"num_hidden_layers": 3}}},
        "hardware.nodes",
        "only 3 layers",
    ),
    "longer than the model": ({"serving": {"maxModelLen": 200_000}}, "serving.maxModelLen", "163840"),
    "no claim": ({"storage": {"size": None}}, "storage.size", "1286Gi"),
    "claim too small": ({"storage": {"size": "1Ti"}}, "storage.size", "1286Gi"),
    "download cannot end": (
        {"storage": {"downloadBandwidth": "100Mbit"}},
        "storage.downloadTimeout",
        "storage.downloadTimeout: 46h",
    ),
    "claim for one node": ({"storage": {"accessMode": "ReadWriteOnce"}}, "storage.accessMode", "ReadWriteMany"),
    "no registry": ({"image": {"push": None, "reference": "r/x:1"}}, "image.push", "image.fetchReference"),
    "flag of the program": (
        {"serving": {"extraArgs": ["--max-model-len=3"]}},
        "serving.extraArgs",
        "serving.maxModelLen",
    ),
    "number of requests": ({"serving": {"extraArgs": ["--max-num-seqs", "many"]}}, "serving.extraArgs", "many"),
    "open node network": ({"network": {"hostNetwork": True}}, "network.hostNetwork", "hostNetworkIsTrusted: true"),
    "address and pods": (
        {"network": {"dns": [{"address": "192.0.2.1", "labels": {"a": "b"}}]}},
        "network.dns.0",
        "an entry for the address and another one",
    ),
    "nobody": ({"network": {"builds": [{"port": 443}, {}]}}, "network.builds.1", "is empty"),
    "selector of nothing": ({"scheduling": {"nodeSelector": {}}}, "scheduling.nodeSelector", "without"),
    "more memory than is free": ({"serving": {"gpuMemoryUtilization": 0.99}}, "serving.gpuMemoryUtilization", "0.97"),
    "weights do not fit": ({"hardware": {"nodes": 2}}, "hardware.nodes", "24.4 GiB short"),
    "request does not fit": ({"hardware": {"nodes": 3}}, "serving.maxModelLen", "serving.maxModelLen: 20480"),
}


@pytest.mark.parametrize(("change", "key", "said"), REFUSALS.values(), ids=REFUSALS.keys())
def test_refused_by_key_with_what_to_do(change: dict[str, dict[str, Any]], key: str, said: str) -> None:
    refused = plan(**change)
    assert not refused.fits
    about = [problem for problem in refused.problems if problem.key == key]
    assert len(about) == 1, refused.problems
    assert said.lower() in f"{about[0].text} {about[0].suggestion}".lower()


REPAIRABLE = {name: change for name, (change, _, _) in REFUSALS.items() if name not in {
    "unknown model", "unknown GPU", "no registry", "flag of the program", "number of requests",
    "address and pods", "nobody",
}}  # fmt: skip


@pytest.mark.parametrize("change", REPAIRABLE.values(), ids=REPAIRABLE.keys())
def test_the_suggestions_work(change: dict[str, dict[str, Any]]) -> None:
    assert repaired(raw(**change)).fits


def test_all_problems_come_together() -> None:
    refused = plan(
        hardware={"nodes": 2},
        storage={"size": "1Ti", "accessMode": "ReadWriteOnce"},
        image={"push": None},
        serving={"tensorParallelSize": 4},
    )
    assert [problem.key for problem in refused.problems] == [
        "serving.tensorParallelSize",
        "storage.size",
        "storage.accessMode",
        "image.push",
        "hardware.nodes",
    ]


def test_the_shortfall_names_rank_and_terms() -> None:
    (problem,) = plan(hardware={"nodes": 2}).problems
    assert problem.text == (
        "stage 1 (layers 31 to 60) does not fit: weights 81.5 GiB + activations and libraries 2.2 GiB + CUDA "
        "graphs 4.1 GiB is 87.7 GiB "
        "for each GPU, and 0.8 of 79.15 GiB is 63.3 GiB: 24.4 GiB short"
    )
    assert problem.suggestion == (
        "model.repository: https://huggingface.co/deepseek-ai/DeepSeek-V3 "
        "(the same weights in FP8, which this GPU unpacks as it multiplies), or "
        "hardware.nodes: 4 (tensor parallel 8 × pipeline parallel 4)"
    )


def test_fp8_is_suggested_with_the_nodes_that_it_needs() -> None:
    (one_node,) = plan(hardware={"gpu": "NVIDIA-H200", "nodes": 1}).problems
    assert one_node.suggestion == (
        "model.repository: https://huggingface.co/deepseek-ai/DeepSeek-V3 (the same weights in FP8), or "
        "hardware.nodes: 2 (tensor parallel 8 × pipeline parallel 2)"
    )
    (two_nodes,) = plan(hardware={"gpu": "NVIDIA-H100-80GB-HBM3", "nodes": 1}).problems
    assert two_nodes.suggestion == (
        "model.repository: https://huggingface.co/deepseek-ai/DeepSeek-V3 and hardware.nodes: 2 "
        "(the same weights in FP8; tensor parallel 8 × pipeline parallel 2), or "
        "hardware.nodes: 4 (tensor parallel 8 × pipeline parallel 4)"
    )


NUMBERS = {name: number for name, number in asdict(DEEPSEEK_V3).items() if number is not None}
WARNINGS: dict[str, tuple[dict[str, dict[str, Any]], str]] = {
    "branch": ({"model": {"revision": "main"}}, "not pinned"),
    "precision": ({"model": {"precision": "fp8"}}, "nothing converts it"),
    "unknown precision": (
        {"model": {"repository": "https://git.example.com/us/ours", "architecture": NUMBERS}},
        "model.precision: unset, and https://git.example.com/us/ours is not a known repository: the plan takes bf16",
    ),
    "FP8 without arithmetic": ({"model": {"repository": V3_FP8}}, "Marlin"),
    "TP across nodes": ({"serving": {"tensorParallelSize": 16, "pipelineParallelSize": 2}}, "spans nodes"),
    "TP without NVLink": ({"hardware": {"gpu": "NVIDIA-A100-80GB-PCIe"}}, "no NVLink"),
    "latent width": ({"model": {"architecture": {"kv_lora_rank": 256}}}, "576"),
    "one revision": ({"storage": {"size": "1500Gi"}}, "second revision"),
    "eager": ({"serving": {"enforceEager": True}}, "54 instead of 347"),
    "open": ({"serving": {"authentication": "none"}}, "may generate"),
    "unplanned flag": ({"serving": {"extraArgs": ["--cpu-offload-gb=4"]}}, "--cpu-offload-gb"),
}


@pytest.mark.parametrize(("change", "said"), WARNINGS.values(), ids=WARNINGS.keys())
def test_warned_and_not_refused(change: dict[str, dict[str, Any]], said: str) -> None:
    planned = plan(**change)
    assert planned.fits, planned.problems
    assert said in " ".join(planned.warnings)


def test_a_pinned_stack_of_the_article_has_nothing_to_note() -> None:
    assert plan(model={"revision": "0123456789abcdef0123456789abcdef01234567"}).warnings == []


def test_cpus_need_no_arithmetic_and_no_known_model() -> None:
    planned = plan(
        model={"repository": "http://tiny-model:8080/DeepSeek-V3-tiny.git"},
        hardware={"gpu": "none", "gpusPerNode": 1, "nodes": 2},
        storage={"size": "1Gi"},
    )
    assert planned.fits
    assert (planned.tensor_parallel_size, planned.pipeline_parallel_size) == (1, 2)
    assert planned.ranks == []


def test_a_gpu_of_ones_own() -> None:
    planned = plan(
        model={"repository": LITE},
        hardware={"gpu": "NVIDIA-H100-80GB-HBM3-MIG-3g.40gb", "gpuMemoryGiB": 39.25, "gpusPerNode": 1, "nodes": 1},
        serving={"maxModelLen": 8192, "gpuMemoryUtilization": 0.9},
    )
    assert planned.fits, planned.problems
    assert planned.deployment is not None
    assert planned.deployment.engine.max_num_batched_tokens == 2048


def test_more_requests_and_another_cache_type_are_planned_from_the_flags() -> None:
    default, few, fp8 = (
        plan(hardware={"gpu": "NVIDIA-H200"}, serving={"extraArgs": flags})
        for flags in ([], ["--max-num-seqs=64"], ["--kv-cache-dtype", "fp8"])
    )
    assert few.kv_cache_tokens > default.kv_cache_tokens
    assert fp8.kv_cache_tokens > 1.9 * default.kv_cache_tokens


def test_the_summary_reads_well_in_a_diff() -> None:
    planned = plan(
        hardware={"pricePerGpuHour": 1.8},
        storage={"downloadBandwidth": "10Gbit"},
    )
    assert planned.prediction
    assert planned.summary() == {
        "GPUs": 32,
        "parallelism": "tensor 8 × pipeline 4",
        "GPU": "NVIDIA-A100-SXM4-80GB",
        "precision": "bf16",
        "weights per GPU": "43.4 GiB",
        "KV cache per GPU": "14.0 GiB",
        "KV tokens": "815,600",
        "longest request": "163,840",
        "full-length requests at once": 5.0,
        "weights": "1,369 GB",
        "disk needed": "1286Gi",
        "disk for two revisions": "2561Gi",
        "download at best": "18m",
        "cost an hour": 57.6,
        "tokens/s at 64 requests": planned.prediction.summary()["tokens/s at 64 requests"],
        "cost per million output tokens": planned.prediction.summary()["cost per million output tokens"],
    }


UNPLANNED: dict[str, dict[str, Any]] = {
    "model": {"repository": "https://example.com/owner/new", "planned": False},
    "storage": {"size": "2Ti"},
}


def test_a_model_without_a_plan_is_served_and_the_plan_says_so() -> None:
    served = plan(**UNPLANNED)
    assert served.fits
    assert served.deployment is None
    assert served.kv_cache_memory_bytes is None
    assert served.summary()["memory"] == "not planned"
    assert served.not_predicted == "model.planned is false"
    assert any("model.planned: false" in warning for warning in served.warnings)


def test_a_planned_model_says_nothing_of_it() -> None:
    assert "memory" not in plan().summary()
    assert not any("model.planned" in warning for warning in plan().warnings)


def test_the_fix_of_an_unknown_model_leaves_only_its_size_to_ask_for() -> None:
    stack = raw(model={"repository": "https://example.com/owner/new"}, storage={"size": "2Ti"})
    assert repaired(stack).fits


def test_a_distilled_model_is_planned_without_numbers() -> None:
    found = plan(
        model={"repository": DISTILLED},
        hardware={"gpu": "NVIDIA-H100-80GB-HBM3", "gpusPerNode": 2, "nodes": 1},
        serving={"extraArgs": ["--attention-backend=FLASH_ATTN"]},
    )
    assert found.fits, found.problems
    assert [rank.kv_bytes_per_token for rank in found.ranks] == [64 * 2 * 4 * 128 * 2]


@pytest.mark.parametrize(
    ("gpu", "flag", "said"),
    [
        ("NVIDIA-A100-SXM4-80GB", "--attention-backend=FLASHMLA", "grouped-query attention"),
        ("NVIDIA-L40S", "--kv-cache-dtype=fp8", "FLASH_ATTN"),
    ],
)
def test_backends_of_grouped_attention_are_checked(gpu: str, flag: str, said: str) -> None:
    arguments = [flag, "--attention-backend=FLASH_ATTN"] if "kv-cache" in flag else [flag]
    found = plan(model={"repository": DISTILLED}, hardware={"gpu": gpu}, serving={"extraArgs": arguments})
    assert any(said in problem.text for problem in found.problems if problem.key == "serving.extraArgs")


V32 = "https://huggingface.co/deepseek-ai/DeepSeek-V3.2"
KIMI = "https://huggingface.co/moonshotai/Kimi-K2.5"
EIGHT_H200 = {"gpu": "NVIDIA-H200", "gpusPerNode": 8, "nodes": 1}


def test_sparse_attention_needs_hopper_or_newer() -> None:
    refused = plan(model={"repository": V32}, hardware={"nodes": 4})
    assert ["no backend for sparse latent attention" in problem.text for problem in refused.problems] == [True]
    served = plan(model={"repository": V32}, hardware=EIGHT_H200, serving={"gpuMemoryUtilization": 0.92})
    assert served.fits, served.problems
    assert served.not_predicted == "how fast sparse attention is, is not known"


@pytest.mark.parametrize(("gpu", "latent"), [("NVIDIA-H200", 656), ("NVIDIA-B200", 576)])
def test_an_fp8_cache_of_sparse_attention_is_packed_on_hopper(gpu: str, latent: int) -> None:
    hardware = {"gpu": gpu, "gpusPerNode": 8, "nodes": 1}
    serving = {"gpuMemoryUtilization": 0.92, "extraArgs": ["--kv-cache-dtype=fp8"]}
    found = plan(model={"repository": V32}, hardware=hardware, serving=serving)
    assert [rank.kv_bytes_per_token for rank in found.ranks] == [61 * (latent + 132)]


def test_a_model_that_reads_images_sizes_its_cache_itself() -> None:
    found = plan(model={"repository": KIMI}, hardware=EIGHT_H200, serving={"gpuMemoryUtilization": 0.92})
    assert found.fits, found.problems
    assert found.kv_cache_memory_bytes is None
    assert any("reads images too" in warning for warning in found.warnings)
    assert found.summary()["precision"] == "int4"


def test_weights_of_four_bits_are_told_of_gpus_that_unpack_them() -> None:
    nvfp4 = {"repository": "https://huggingface.co/nvidia/DeepSeek-R1-FP4"}
    for gpu, told in (("NVIDIA-H200", True), ("NVIDIA-B200", False)):
        hardware = {"gpu": gpu, "gpusPerNode": 8, "nodes": 1}
        found = plan(model=nvfp4, hardware=hardware, serving={"gpuMemoryUtilization": 0.92})
        assert found.fits, found.problems
        assert any("no FP4 arithmetic" in warning for warning in found.warnings) is told
