from typing import Any

import pytest
from cluster_state import State
from diagnosis import UNLIMITED, Finding, findings, have_joined, missing_gpus, progress, told
from kube_objects import KubeObject
from planned_nodes import PlannedNodes
from supervisor_log import Event

PLANNED, JOIN_TIMEOUT = PlannedNodes(4, gpus_per_node=8), 1800.0
UNSCHEDULABLE = "0/5 nodes are available: 1 Insufficient nvidia.com/gpu, 4 node(s) didn't match node selector."


def pod(name: str = "w-1", **status: Any) -> KubeObject:
    container = {"name": "ray", "resources": {"limits": {"nvidia.com/gpu": "8"}}}
    spec = {"containers": [container], "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"}}
    return {"metadata": {"name": name, "uid": f"uid-{name}"}, "spec": spec, "status": status}


def waiting(reason: str, message: str = "", **more: Any) -> KubeObject:
    return {"name": "ray", "state": {"waiting": {"reason": reason, "message": message}}, **more}


def state(**parts: Any) -> State:
    well: dict[str, Any] = {"cluster": {"status": {"state": "ready"}}, "job": {"status": {"active": 1}}}
    return State(**well | parts)


def only(**parts: Any) -> Finding:
    found = findings(state(**parts), PLANNED, JOIN_TIMEOUT)
    assert len(found) == 1
    return found[0]


def test_nothing_is_wrong_while_all_goes_its_way() -> None:
    starting = {"name": "ray", "state": {"waiting": {"reason": "PodInitializing"}}}
    running: KubeObject = {"name": "wait-gcs-ready", "state": {"running": {}}}
    pods = [pod(phase="Pending", containerStatuses=[starting], initContainerStatuses=[running])]
    assert findings(state(ray_pods=pods), PLANNED, JOIN_TIMEOUT) == []


def test_a_pod_that_no_node_can_take() -> None:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": UNSCHEDULABLE + " no new claims to deallocate, preemption: 0/5",
    }
    found = only(ray_pods=[pod(conditions=[condition])])
    assert found.text == (
        f"not scheduled: {UNSCHEDULABLE}"
        " (it wants 8 nvidia.com/gpu on a node with nvidia.com/gpu.product=NVIDIA-A100-SXM4-80GB:"
        " add or free one, or change deepseek:hardware)"
    )
    assert found.patience == JOIN_TIMEOUT, "an autoscaler may still bring the node"


def test_an_image_that_cannot_be_pulled_is_one_finding_however_the_kubelet_calls_it() -> None:
    pull = only(ray_pods=[pod(containerStatuses=[waiting("ErrImagePull", "not found")])])
    back_off = only(ray_pods=[pod(containerStatuses=[waiting("ImagePullBackOff", "Back-off pulling image")])])
    assert pull.about == back_off.about
    assert pull.text == "container ray: ErrImagePull: not found"
    assert pull.patience == back_off.patience == 300


def test_a_wrong_image_name_is_not_waited_for() -> None:
    assert only(supervisor_pod=pod("serve", containerStatuses=[waiting("InvalidImageName")])).patience == 0


def test_a_container_that_crashes_tells_how_it_ended() -> None:
    last = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    found = only(ray_pods=[pod(containerStatuses=[waiting("CrashLoopBackOff", "back-off 40s", lastState=last)])])
    assert found.text.endswith("back-off 40s; it ended with exit code 137: OOMKilled")


def test_a_reason_that_nobody_foresaw_is_told_and_waited_for() -> None:
    assert only(ray_pods=[pod(containerStatuses=[waiting("Strange")])]).patience == UNLIMITED


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ({"reason": "Evicted", "message": "low on memory"}, "low on memory"),
        (
            {"containerStatuses": [{"name": "ray", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}]},
            "exit code 1: Error",
        ),
    ],
)
def test_a_pod_that_has_failed(status: KubeObject, text: str) -> None:
    assert only(ray_pods=[pod(phase="Failed", **status)]).text == f"failed: {text}"


def test_no_operator() -> None:
    found = only(cluster={"metadata": {}})
    assert "KubeRay's operator does not react to the RayCluster: it is down" in found.text
    assert found.patience == 120


def test_pods_that_may_not_be_created() -> None:
    quota = 'pods "head" is forbidden: exceeded quota: compute'
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreateHeadPod"}
    condition["message"] = f"FailedCreateHeadPod {quota}"
    event: KubeObject = {
        "involvedObject": {"kind": "RayCluster", "name": "ray", "uid": "c"},
        "reason": "FailedToCreateHeadPod",
        "lastTimestamp": "2026-01-01T00:01:00Z",
    }
    cluster = {"status": {"conditions": [condition]}}
    found, warned = findings(state(cluster=cluster, warnings=[event]), PLANNED, JOIN_TIMEOUT)
    assert found.text == f"RayCluster: FailedCreateHeadPod: {quota}"
    assert found.patience == warned.patience == 180
    later = findings(state(cluster=cluster, warnings=[event], since="2026-01-01T00:01:01Z"), PLANNED, JOIN_TIMEOUT)
    assert [finding.patience for finding in later] == [UNLIMITED] * 2, "the quota may have gone since"


def test_a_warning_about_the_job_that_makes_no_pod() -> None:
    event = {
        "involvedObject": {"kind": "Job", "name": "serve", "uid": "u"},
        "reason": "FailedCreate",
        "message": "admission webhook denied the request",
    }
    found = only(warnings=[event])
    assert found.text == "Job serve: FailedCreate: admission webhook denied the request"
    assert found.patience == 180
    pods: list[KubeObject] = [pod(f"ray-{number}") for number in range(4)]
    assert only(warnings=[event], ray_pods=pods, supervisor_pod=pod("serve")).patience == UNLIMITED, (
        "by now it is there"
    )


def test_an_invalid_spec_is_not_a_missing_operator() -> None:
    event: KubeObject = {
        "involvedObject": {"kind": "RayCluster", "name": "ray", "uid": "c"},
        "reason": "InvalidRayClusterSpec",
        "message": "headGroupSpec should have at least one container",
    }
    assert "should have at least one container" in only(cluster={"metadata": {}}, warnings=[event]).text


def test_a_warning_about_a_pod_that_runs_is_past() -> None:
    event: KubeObject = {"involvedObject": {"kind": "Pod", "uid": "uid-w-1"}, "reason": "FailedMount", "message": "no"}
    assert findings(state(warnings=[event], ray_pods=[pod(phase="Running")]), PLANNED, JOIN_TIMEOUT) == []
    assert len(findings(state(warnings=[event], ray_pods=[pod(phase="Pending")]), PLANNED, JOIN_TIMEOUT)) == 1


def test_a_supervisor_that_cannot_run() -> None:
    assert "supervisor itself cannot run: 3 of its pods" in only(job={"status": {"failed": 3}}).text
    assert findings(state(job={"status": {"failed": 3}}, story=[Event("started", {})]), PLANNED, JOIN_TIMEOUT) == []


def test_a_mount_that_fails_is_told_and_waited_for() -> None:
    event = {"involvedObject": {"kind": "Pod", "name": "w-1"}, "reason": "FailedMount", "message": "timed out"}
    assert only(warnings=[event]).patience == UNLIMITED


def test_a_failed_serving_job() -> None:
    condition = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "limit"}
    assert only(job={"status": {"conditions": [condition]}}).patience == 0


@pytest.mark.parametrize("name", ["cluster", "job"])
def test_what_does_not_exist_is_missed_and_what_cannot_be_read_is_not(name: str) -> None:
    assert "does not exist" in only(**{name: None}).text
    assert only(**{name: None}, unreadable=["GET x: HTTP 403"]).text == "could not be read: GET x: HTTP 403"


def test_vllms_last_words_come_first() -> None:
    story = [Event("failed", {"kind": "exit", "same": "2", "after": "31", "reason": "vllm: error: no"})]
    found = findings(state(story=story, ray_pods=[pod(phase="Failed")]), PLANNED, JOIN_TIMEOUT)
    assert found[0].text == "vLLM failed after 31 s, 2 times the same: vllm: error: no"


def test_progress_counts_pods_and_nodes() -> None:
    placed = pod(phase="Running")
    placed["spec"]["nodeName"] = "node-1"
    story = [Event("waiting", {"nodes": "1/4", "missing": "3 of 4 Ray nodes have not joined"})]
    assert progress(state(ray_pods=[placed, pod("w-2")], story=story), PLANNED) == (
        "of 4 Ray pods 1 are placed (8 of 32 GPUs) and 1 run; Ray nodes joined: 1 of 4; "
        "supervisor: waiting 3 of 4 Ray nodes have not joined"
    )


def test_missing_gpus_are_those_of_the_pods_that_wait() -> None:
    placed = pod(phase="Running")
    placed["spec"]["nodeName"] = "node-1"
    assert missing_gpus(state(ray_pods=[placed, pod("w-2")]), PLANNED) == "24 of 32 GPUs are missing"
    assert missing_gpus(state(ray_pods=[placed] * 4), PLANNED) == ""
    assert missing_gpus(state(), PLANNED) == "", "who makes no pods has not looked for GPUs"


def test_progress_of_nothing() -> None:
    assert progress(State(), PLANNED).endswith("Ray nodes joined: not known; the supervisor has not said anything yet")


@pytest.mark.parametrize(
    ("names", "joined"),
    [
        ([], False),
        (["started"], False),
        (["started", "waiting"], False),
        (["waiting", "joined"], True),
        (["waiting", "joined", "submitted", "loading"], True),
        (["joined", "submitted", "gpus_differ"], True),
        (["submitted", "failed"], True),
        (["submitted", "failed", "waiting"], False),
        (["started", "took_over"], True),
    ],
)
def test_whether_the_nodes_have_joined(names: list[str], *, joined: bool) -> None:
    assert have_joined([Event(name, {}) for name in names]) is joined


def test_nodes_that_did_not_join_in_time_have_not() -> None:
    assert not have_joined([Event("failed", {"kind": "nodes"})])


def test_pods_in_the_same_trouble_are_told_together() -> None:
    def back_off(name: str) -> KubeObject:
        message = f"back-off 40s restarting failed container=ray pod={name}_namespace(uid)"
        return pod(name, containerStatuses=[waiting("CrashLoopBackOff", message)])

    found = findings(state(ray_pods=[back_off(f"w-{number}") for number in range(6)]), PLANNED, JOIN_TIMEOUT)
    assert len({finding.about for finding in found}) == 6
    trouble = "container ray: CrashLoopBackOff: back-off 40s restarting failed container=ray"
    assert told([*found, Finding("other", "something else")]) == [
        f"pods w-0, w-1, w-2, w-3 and 2 more: {trouble}",
        "something else",
    ]
    assert told([Finding("a", "text", pod="w-1")]) == ["pod w-1: text"]


def test_long_messages_are_cut() -> None:
    assert len(only(ray_pods=[pod(phase="Failed", message="x" * 9999)]).text) < 700
