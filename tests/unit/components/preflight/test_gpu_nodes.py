"""What the nodes of a cluster say against a plan, by node and key."""

from typing import Any

import pytest

from components.preflight.gpu_nodes import node_warnings
from components.preflight.waiting_pods import WAITING
from components.shared.labels import labels
from planning.parse import parse
from tests.unit.components.preflight.gpu_nodes import FOUR, TAINT, node, pod, told
from tests.unit.components.stub_api import stub_api
from tests.unit.planning.stacks import raw


def test_nodes_that_have_all_that_is_planned_say_nothing() -> None:
    assert told(FOUR) == []
    assert told(403) == []


WORSE: dict[str, tuple[dict[str, Any], dict[str, dict[str, Any]], str]] = {
    "old driver": (
        node("gpu-3", {"nvidia.com/cuda.driver-version.major": "550"}),
        {},
        "hardware.gpu: node gpu-3 has the NVIDIA driver 550 (nvidia.com/cuda.driver-version.major), and the image's",
    ),
    "old driver by the older label": (
        node("gpu-3", {"nvidia.com/cuda.driver.major": "535"}),
        {},
        "hardware.gpu: node gpu-3 has the NVIDIA driver 535 (nvidia.com/cuda.driver.major)",
    ),
    "architecture": (
        node("gpu-3", {"kubernetes.io/arch": "arm64"}),
        {},
        "image.reference: node gpu-3 is arm64 (kubernetes.io/arch), and the images are built for amd64",
    ),
    "memory": (
        node("gpu-3", room={"memory": "512Gi"}),
        {},
        "hardware.memory: node gpu-3 has 512.0 GiB memory; a Ray pod asks for 768.0 GiB",
    ),
    "CPUs": (node("gpu-3", room={"cpu": "32"}), {}, "hardware.cpu: node gpu-3 has 32 cpu; a Ray pod asks for 64"),
    "disk": (
        node("gpu-3", room={"ephemeral-storage": "10Gi"}),
        {},
        "hardware: node gpu-3 has 10.0 GiB ephemeral-storage, and the serving image takes some 25.0 GiB",
    ),
    "no disk at all": (
        node("gpu-3", room={"ephemeral-storage": "1Gi"}),
        {},
        "hardware: node gpu-3 has 1.0 GiB ephemeral-storage; a Ray pod asks for 2.0 GiB",
    ),
    "RDMA devices": (
        node("gpu-3"),
        {"network": {"rdmaResources": {"rdma/hca": 1}}},
        "network.rdmaResources: nodes gpu-0, gpu-1, gpu-2, gpu-3: each has 0 rdma/hca; a Ray pod asks for 1",
    ),
    "further resources": (
        node("gpu-3"),
        {"pods": {"resources": {"hugepages-2Mi": "5Gi"}}},
        "pods.resources: nodes gpu-0, gpu-1, gpu-2, gpu-3: each has 0 hugepages-2Mi; a Ray pod asks for 5",
    ),
    "avoided": (
        node("gpu-3"),
        {"scheduling": {"avoidNodes": ["gpu-3"]}},
        "scheduling.avoidNodes: node gpu-3 is to be avoided",
    ),
    "taint": (
        node("gpu-3", taints=[TAINT]),
        {},
        "scheduling.tolerations: node gpu-3 has the taint nvidia.com/gpu=present:NoSchedule, which is not tolerated",
    ),
}


@pytest.mark.parametrize(("worse", "sections", "warning"), WORSE.values(), ids=WORSE.keys())
def test_what_a_node_lacks_is_told_by_node_and_key(
    worse: dict[str, Any], sections: dict[str, dict[str, Any]], warning: str
) -> None:
    warnings = told([*FOUR[:3], worse], **sections)
    assert "of 32 GPUs are missing" in warnings[0]
    assert any(text.startswith(warning) for text in warnings[1:]), warnings


@pytest.mark.parametrize(
    "toleration",
    [
        {"key": "nvidia.com/gpu", "operator": "Exists"},
        {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"},
        {"operator": "Exists"},
    ],
)
def test_a_tolerated_taint_is_no_obstacle(toleration: dict[str, str]) -> None:
    tainted = [node(f"gpu-{number}", taints=[TAINT]) for number in range(4)]
    assert told(tainted, scheduling={"tolerations": [toleration]}) == []
    assert told(tainted, scheduling={"tolerations": [{"key": "other", "operator": "Exists"}]}) != []


def test_a_node_to_be_avoided_that_is_not_there_is_told() -> None:
    [warning] = told(FOUR, scheduling={"avoidNodes": ["gpu-33"]})
    assert warning == "scheduling.avoidNodes: none of the 4 nodes that were looked at is called 'gpu-33'"


def test_an_avoided_node_beside_enough_others_is_not_told() -> None:
    assert told([*FOUR, node("gpu-4")], scheduling={"avoidNodes": ["gpu-3"]}) == []


def test_a_driver_is_told_even_where_other_nodes_are_enough() -> None:
    old = node("gpu-9", {"nvidia.com/cuda.driver-version.major": "550"})
    [warning] = told([*FOUR, old])
    assert "node gpu-9 has the NVIDIA driver 550" in warning
    assert told([*FOUR, node("gpu-9", taints=[TAINT])]) == [], "the scheduler goes past it by itself"


def test_nodes_of_another_architecture_are_told_where_too_few_others_are_there() -> None:
    arm = node("gpu-9", {"kubernetes.io/arch": "arm64"})
    assert told([*FOUR, arm]) == [], "the scheduler goes past it by itself"
    assert "8 of 32 GPUs are missing" in told([*FOUR[:3], arm])[0]


def test_the_driver_that_is_needed_is_told() -> None:
    [*_, warning] = told([*FOUR, node("gpu-9", {"nvidia.com/cuda.driver-version.major": "579"})])
    assert warning.endswith("CUDA 13 needs 580 or newer")
    assert told([*FOUR, node("gpu-9", {"nvidia.com/cuda.driver-version.major": "580"})]) == []


def test_what_is_known_of_our_images_is_not_said_of_finished_ones() -> None:
    old = [node(f"gpu-{number}", {"nvidia.com/cuda.driver-version.major": "550"}) for number in range(4)]
    assert told(old, image={"reference": "r.example.com/served:1"}) == []


def test_gpus_that_others_have_are_subtracted_and_their_namespace_is_named() -> None:
    warnings = told(FOUR, [pod("team-b", {"nvidia.com/gpu": "8"})])
    assert warnings[0].startswith(
        "hardware: 32 of 32 GPUs are missing: 4 nodes with 8 NVIDIA-A100-SXM4-80GB are planned"
    )
    assert "has 8 nvidia.com/gpu, of which 8 by namespace 'team-b'; a Ray pod asks for 8" in warnings[1]
    assert "nodes gpu-0, gpu-1, gpu-2, gpu-3" in warnings[1]


def test_memory_of_other_pods_counts_too() -> None:
    [_, warning] = told(FOUR, [pod("monitoring", {"memory": "300Gi"}), pod("logs", {"memory": "1Gi"})])
    assert "1024.0 GiB memory, of which 1.0 GiB by namespace 'logs', 300.0 GiB by namespace 'monitoring'" in warning


def test_the_stacks_own_ray_pods_make_room_for_themselves() -> None:
    own = pod("deepseek", {"nvidia.com/gpu": "8"}, **labels("ray"))
    assert told(FOUR, [own]) == []
    assert told(FOUR, [own | {"metadata": {**own["metadata"], "namespace": "deepseek-2"}}]) != []


def test_another_ray_cluster_in_the_namespace_keeps_its_gpus() -> None:
    another = pod("deepseek", {"nvidia.com/gpu": "8"}, **{"ray.io/cluster": "training"})
    assert "of which 8 by namespace 'deepseek'" in told(FOUR, [another])[1]


@pytest.mark.parametrize(
    ("sidecars", "first", "overhead", "gib"),
    [("0", "0", "0", 10), ("300Gi", "0", "0", 310), ("0", "400Gi", "0", 400), ("300Gi", "400Gi", "5Gi", 705)],
)
def test_a_pod_counts_with_its_sidecars_its_start_and_its_overhead(
    sidecars: str, first: str, overhead: str, gib: int
) -> None:
    other = pod("team-b", {"memory": "10Gi"})
    other["spec"]["initContainers"] = [
        {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"memory": sidecars}}},
        {"name": "i", "resources": {"requests": {"memory": first}}},
    ]
    other["spec"]["overhead"] = {"memory": overhead}
    warnings = told(FOUR, [other], hardware={"memory": "1020Gi"})
    assert f"of which {gib}.0 GiB by namespace 'team-b'" in warnings[1]


BROKEN = {
    "type": "GpuMemWatch",
    "status": "True",
    "message": "[DCGM_FR_FAULTY_MEMORY] GPU memory failure on GPU 0 - RecommendedAction: RESTART_VM",
}
XID = {"key": "nvidia.com/gpu-xid-error", "value": "true", "effect": "NoSchedule"}


def sick(*taints: dict[str, str], **conditions: str) -> dict[str, Any]:
    found = node("gpu-3", taints=list(taints))
    found["status"]["conditions"] += [{**BROKEN, **conditions}]
    return found


def test_what_a_watch_over_gpus_says_is_told_though_the_scheduler_does_not_mind() -> None:
    everything = {"tolerations": [{"operator": "Exists"}]}
    warnings = told([*FOUR[:3], sick(TAINT, XID)], scheduling=everything)
    assert "8 of 32 GPUs are missing" in warnings[0]
    assert warnings[1:] == [
        f"scheduling.avoidNodes: node gpu-3 has the condition GpuMemWatch: {BROKEN['message']}",
        f"scheduling.avoidNodes: node gpu-3 has the taint {XID['key']}, which tells of sick GPUs and is tolerated",
    ]


def test_a_node_with_sick_gpus_among_enough_others_is_told_because_pods_may_go_there() -> None:
    [warning] = told([*FOUR, sick()])
    assert warning.startswith("scheduling.avoidNodes: node gpu-3 has the condition GpuMemWatch")


def test_a_watch_that_is_content_and_a_node_that_is_avoided_say_nothing() -> None:
    assert told([*FOUR[:3], sick(status="False")]) == []
    avoided = told([*FOUR[:3], sick()], scheduling={"avoidNodes": ["gpu-3"]})
    assert not any("condition" in warning for warning in avoided), avoided


@pytest.mark.parametrize("trouble", ["disk-pressure", "pid-pressure", "network-unavailable", "out-of-service"])
def test_a_ready_node_that_takes_no_pods_for_now_does_not_count(trouble: str) -> None:
    pressed = node("gpu-3", taints=[{"key": f"node.kubernetes.io/{trouble}", "effect": "NoSchedule"}])
    warnings = told([*FOUR[:3], pressed])
    assert "8 of 32 GPUs are missing" in warnings[0]
    assert f"node gpu-3 has the taint node.kubernetes.io/{trouble}:NoSchedule" in warnings[1]


def test_pressure_on_memory_keeps_no_pod_away_that_asks_for_memory() -> None:
    pressed = node("gpu-3", taints=[{"key": "node.kubernetes.io/memory-pressure", "effect": "NoSchedule"}])
    assert told([*FOUR[:3], pressed]) == []


def test_who_may_not_list_pods_is_told_what_the_nodes_say() -> None:
    assert told(FOUR, 403) == []


def test_only_pods_of_nodes_that_may_count_are_asked_for() -> None:
    with stub_api({"/api/v1/nodes": [*FOUR, *FOUR], "/api/v1/pods": []}) as (api, server):
        assert list(node_warnings(api, "deepseek", parse(raw()))) == []
    asked = [query["fieldSelector"][0] for path, query in server.asked if path == "/api/v1/pods"]
    assert asked[0] == WAITING
    assert len(asked) == 1 + 4
    assert all("spec.nodeName=gpu-" in selector for selector in asked[1:])


def test_nodes_of_ones_own_labels_are_looked_at_too() -> None:
    pool = {"scheduling": {"nodeSelector": {"pool": "inference"}}}
    nodes = [node(f"gpu-{number}", {"pool": "inference"}) for number in range(3)]
    with stub_api({"/api/v1/nodes": nodes, "/api/v1/pods": []}) as (api, server):
        [warning] = node_warnings(api, "deepseek", parse(raw(**pool)))
        assert server.asked[0][1]["labelSelector"] == ["pool=inference"]
    assert "8 of 32 GPUs are missing" in warning
    assert "nodes with these labels: 3 with 8" in warning


def test_on_cpus_one_node_that_takes_a_pod_is_enough() -> None:
    cpus: dict[str, dict[str, Any]] = {
        "model": {"repository": "http://tiny-model:8080/tiny.git"},
        "hardware": {"gpu": "none", "gpusPerNode": 1, "nodes": 2, "cpu": "100m", "memory": "8Gi"},
        "storage": {"size": "1Gi"},
    }
    assert told([node("n")], **cpus) == []
    warnings = told([node("n", taints=[TAINT])], **cpus)
    assert warnings[0].startswith("hardware: no node can take a Ray pod now")
    assert warnings[1].startswith("scheduling.tolerations: node n has the taint")
