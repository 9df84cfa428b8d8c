"""What a plan says about GPUs that the table does not have, that run no CUDA, or that a pod gets only a part of."""

from typing import Any

import pytest

from planning.sizing.gpus import TABLE
from planning.sizing.product_names import compute_capability_of, whole_product
from tests.unit.planning.stacks import LITE, V3_FP8, plan

FP8 = {"repository": V3_FP8}
ONE = {"gpusPerNode": 1, "nodes": 1}
MIG = "NVIDIA-A100-SXM4-80GB-MIG-3g.40gb"

REFUSALS: dict[str, tuple[dict[str, dict[str, Any]], tuple[str, ...]]] = {
    "V100": (
        {"model": FP8, "hardware": {"gpu": "Tesla-V100-SXM2-32GB", "gpuMemoryGiB": 31.7, "nodes": 8}},
        ("compute capability 7.0", "7.5 or more", "make plan"),
    ),
    "V100 in BF16": (
        {"hardware": {"gpu": "Tesla-V100-SXM3-32GB", "gpuMemoryGiB": 31.7, "nodes": 16}},
        ("compute capability 7.0",),
    ),
    "T4 in BF16": (
        {"hardware": {"gpu": "Tesla-T4", "gpuMemoryGiB": 14.6, "nodes": 61}},
        ("7.5", "BF16 from 8.0 on"),
    ),
    "MI300X": (
        {"model": FP8, "hardware": {"gpu": "AMD-Instinct-MI300X", "gpuMemoryGiB": 191.7, "nodes": 1}},
        ("no NVIDIA GPU", "make plan"),
    ),
    "MI300X by its short name": (
        {"model": FP8, "hardware": {"gpu": "MI300X", "gpuMemoryGiB": 191.7, "computeCapability": 9.0}},
        ("no NVIDIA GPU",),
    ),
    "a product that nobody knows": (
        {"model": FP8, "hardware": {"gpu": "NVIDIA-X9000", "gpuMemoryGiB": 191.7, "nodes": 1}},
        ("compute capability is not known", "hardware.computeCapability", "nvidia-smi"),
    ),
    "a shared GPU": (
        {"hardware": {"gpu": "NVIDIA-A100-SXM4-80GB-SHARED"}},
        ("32 ranks", "in turns", "hardware.gpu: NVIDIA-A100-SXM4-80GB,"),
    ),
    "slices": (
        {"model": {"repository": LITE}, "hardware": {"gpu": MIG, "gpuMemoryGiB": 39.25, "gpusPerNode": 4, "nodes": 1}},
        ("MIG slice", "4 ranks", "hardware.gpu: NVIDIA-A100-SXM4-80GB,"),
    ),
    "a slice a node": (
        {"model": {"repository": LITE}, "hardware": {"gpu": MIG, "gpuMemoryGiB": 39.25, "gpusPerNode": 1, "nodes": 2}},
        ("MIG slice", "2 ranks"),
    ),
    "a slice that is shared": (
        {
            "model": {"repository": LITE},
            "hardware": {"gpu": f"{MIG}-SHARED", "gpuMemoryGiB": 39.25, "gpusPerNode": 2, "nodes": 1},
        },
        ("MIG slice", "hardware.gpu: NVIDIA-A100-SXM4-80GB,"),
    ),
    "a slice whose memory is not given": (
        {"model": {"repository": LITE}, "hardware": {"gpu": MIG, **ONE}},
        ("hardware.gpuMemoryGiB",),
    ),
}


@pytest.mark.parametrize(("change", "said"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_gpu_that_cannot_do_it_is_refused_with_what_is_right(
    change: dict[str, dict[str, Any]], said: tuple[str, ...]
) -> None:
    about = [problem for problem in plan(**change).problems if problem.key == "hardware.gpu"]
    assert len(about) == 1, about
    for words in said:
        assert words in str(about[0])


def test_a_compute_capability_that_is_not_the_products_is_refused() -> None:
    [problem] = plan(hardware={"computeCapability": 9.0}).problems
    assert str(problem).startswith("hardware.computeCapability: 9.0 is given, and NVIDIA-A100-SXM4-80GB has 8.0")


def test_a_new_gpu_is_planned_by_what_is_given_of_it() -> None:
    given = plan(
        model=FP8,
        hardware={"gpu": "NVIDIA-X9000", "gpuMemoryGiB": 191.7, "computeCapability": 11.0, "nodes": 1},
    )
    assert given.fits, given.problems
    assert given.deployment is not None
    assert given.deployment.gpu.native_fp8


def test_one_rank_may_use_a_shared_gpu_and_is_told_what_that_means() -> None:
    planned = plan(
        model={"repository": LITE},
        hardware={"gpu": "NVIDIA-A100-SXM4-80GB-SHARED", **ONE},
    )
    assert planned.fits, planned.problems
    assert any("in turns" in warning for warning in planned.warnings)


@pytest.mark.parametrize(
    ("product", "capability"),
    [
        *((name, gpu.compute_capability) for name, gpu in TABLE.items()),
        ("Tesla-V100-PCIE-16GB", 7.0),
        ("Tesla-P40", 6.1),
        ("NVIDIA-A10", 8.6),
        ("NVIDIA-A10G", 8.6),
        ("NVIDIA-L4", 8.9),
        ("NVIDIA-RTX-6000-Ada-Generation", 8.9),
        ("NVIDIA-GeForce-RTX-4090", 8.9),
        ("NVIDIA-GH200-480GB", 9.0),
        ("NVIDIA-B300-SXM6-AC", 10.3),
        ("NVIDIA-GeForce-RTX-5090", 12.0),
        ("NVIDIA-X9000", None),
        ("AMD-Instinct-MI300X", None),
    ],
)
def test_a_products_name_tells_its_compute_capability(product: str, capability: float | None) -> None:
    assert compute_capability_of(product) == capability
    assert compute_capability_of(f"{product}-SHARED") == capability
    assert whole_product(f"{product}-MIG-1g.10gb") == product


@pytest.mark.parametrize(
    ("hardware", "key", "suggested"),
    [
        ({"memory": "32Gi", "sharedMemory": "64Gi"}, "hardware.memory", "hardware.memory: 66Gi"),
        ({"memory": "32Gi"}, "hardware.memory", "hardware.memory: 66Gi"),
        ({"sharedMemory": "2Ti"}, "hardware.sharedMemory", "without hardware.sharedMemory"),
        ({"sharedMemory": "0"}, "hardware.sharedMemory", "without hardware.sharedMemory"),
        ({"cpu": "0m"}, "hardware.cpu", "without hardware.cpu"),
    ],
)
def test_memory_that_does_not_hold_the_shared_memory_is_refused(
    hardware: dict[str, Any], key: str, suggested: str
) -> None:
    [problem] = plan(hardware=hardware).problems
    assert problem.key == key
    assert suggested in problem.suggestion
    assert plan(hardware={"memory": "64Gi", "sharedMemory": "64Gi"}).fits


@pytest.mark.parametrize(
    ("product", "memory", "capability"),
    [
        ("NVIDIA-L4", 22.03, 8.9),
        ("NVIDIA-H20-3e", 139.72, 9.0),
        ("NVIDIA-H200-NVL", 139.72, 9.0),
        ("NVIDIA-B300-SXM6-AC", 267.69, 10.3),
        ("NVIDIA-GB300", 276.5, 10.3),
        ("NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition", 94.97, 12.0),
    ],
)
def test_newer_gpus_are_known(product: str, memory: float, capability: float) -> None:
    found = TABLE[product]
    assert (found.memory_gib, found.compute_capability) == (memory, capability)
    assert compute_capability_of(product) == capability, "a partitioned one is known by its name"


@pytest.mark.parametrize(
    ("named", "label"),
    [("H100", "NVIDIA-H100-80GB-HBM3"), ("a100-80gb", "NVIDIA-A100-SXM4-80GB"), ("NVIDIA H200", "NVIDIA-H200")],
)
def test_a_gpu_by_its_everyday_name_is_told_its_label(named: str, label: str) -> None:
    [problem] = plan(hardware={"gpu": named}).problems
    assert f"hardware.gpu: {label}" in problem.suggestion
