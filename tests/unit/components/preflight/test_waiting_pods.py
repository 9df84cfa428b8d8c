"""GPUs that pods of others wait for are not free."""

from typing import Any

import pytest

from components.shared.labels import labels
from tests.unit.components.preflight.gpu_nodes import A100, FOUR, TAINT, node, pod, told


def gpus(namespace: str, count: int = 8, spec: dict[str, Any] | None = None, hour: int = 10) -> dict[str, Any]:
    found = pod(namespace, {"nvidia.com/gpu": str(count)})
    found["metadata"]["creationTimestamp"] = f"2026-11-26T{hour}:00:00Z"
    found["spec"] |= spec or {}
    return found


def test_gpus_that_pods_of_others_wait_for_are_subtracted_and_their_namespace_is_named() -> None:
    warnings = told([*FOUR, node("gpu-4")], [], [gpus("team-b"), gpus("team-b")])
    assert "8 of 32 GPUs are missing" in warnings[0]
    assert warnings[1] == (
        "hardware.gpusPerNode: nodes gpu-0, gpu-1: each has 8 nvidia.com/gpu, of which 8 by waiting pods of namespace "
        "'team-b'; a Ray pod asks for 8"
    )
    assert told([*FOUR, node("gpu-4"), node("gpu-5")], [], [gpus("team-b"), gpus("team-b")]) == []


def test_waiting_pods_fill_a_node_before_they_take_the_next() -> None:
    waiting = [gpus("team-b", 4), gpus("team-c", 4)]
    assert told([*FOUR, node("gpu-4")], [], waiting) == []
    [_, warning] = told(FOUR, [], waiting)
    assert "4 by waiting pods of namespace 'team-b', 4 by waiting pods of namespace 'team-c'" in warning


def test_the_oldest_waiting_pods_are_served_first() -> None:
    waiting = [gpus("young", 6, hour=11), gpus("old", 6)]
    assert "6 by waiting pods of namespace 'old'; a Ray pod" in told([node("gpu-0")], [], waiting)[1]


AFFINITY = "requiredDuringSchedulingIgnoredDuringExecution"
ELSEWHERE: dict[str, dict[str, Any]] = {
    "other labels": {"nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H200"}},
    "a scheduling gate": {"schedulingGates": [{"name": "kueue.x-k8s.io/admission"}]},
    **{
        f"affinity {rule['operator']}": {
            "affinity": {"nodeAffinity": {AFFINITY: {"nodeSelectorTerms": [{"matchExpressions": [rule]}]}}}
        }
        for rule in (
            {"key": "nvidia.com/gpu.product", "operator": "In", "values": ["NVIDIA-H200"]},
            {"key": "nvidia.com/gpu.product", "operator": "NotIn", "values": [A100]},
            {"key": "nvidia.com/gpu.product", "operator": "DoesNotExist"},
            {"key": "pool", "operator": "Exists"},
        )
    },
    "more than a node has": {
        "containers": [{"name": "c", "resources": {"requests": {"nvidia.com/gpu": "16"}}}],
    },
}


@pytest.mark.parametrize("spec", ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_a_waiting_pod_that_goes_elsewhere_takes_no_node(spec: dict[str, Any]) -> None:
    assert told(FOUR, [], [gpus("team-b", spec=spec)]) == []


def test_a_waiting_pod_takes_no_node_whose_taint_it_does_not_tolerate() -> None:
    tainted = [node(f"gpu-{number}", taints=[TAINT]) for number in range(4)]
    ours: dict[str, Any] = {"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}]}
    assert told(tainted, [], [gpus("team-b")], scheduling=ours) == []
    assert told(tainted, [], [gpus("team-b", spec=ours)], scheduling=ours) != []


def test_the_stacks_own_waiting_ray_pods_and_pods_that_end_take_no_node() -> None:
    own = gpus("deepseek")
    own["metadata"]["labels"] = labels("ray")
    ending = gpus("team-b")
    ending["metadata"]["deletionTimestamp"] = "2026-11-26T11:00:00Z"
    assert told(FOUR, [], [own, ending]) == []


def test_who_may_not_list_waiting_pods_is_told_what_the_nodes_say() -> None:
    assert told(FOUR, [], 403) == []
