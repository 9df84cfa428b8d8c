"""What is said of what is suspended, and that this time does not count."""

from typing import Any

import pytest
import suspension
from suspension import KubeObject, Stopwatch, is_parked, suspended_by

QUEUE = {"kueue.x-k8s.io/queue-name": "a100"}


def item(*, suspend: bool = True, **metadata: Any) -> KubeObject:
    return {"metadata": {"name": "ray", **metadata}, "spec": {"suspend": suspend}, "status": {}}


def written_by(manager: str, operation: str = "Update") -> list[dict[str, Any]]:
    other: dict[str, Any] = {"manager": "kuberay-operator", "fieldsV1": {"f:status": {}}}
    return [other, {"manager": manager, "operation": operation, "fieldsV1": {"f:spec": {"f:suspend": {}}}}]


@pytest.mark.parametrize(
    ("owners", "by"),
    [
        ([], ""),
        ([("RayCluster", None), ("RayCluster", item(suspend=False)), ("Job", item(suspend=False))], ""),
        ([("RayCluster", item(labels=QUEUE))], "suspended by Kueue (queue a100): RayCluster ray"),
        ([("Job", item(labels=QUEUE))], "suspended by Kueue (queue a100): Job ray"),
        ([("Job", item(managedFields=written_by("kubectl-edit")))], "suspended by kubectl-edit: Job ray"),
        (
            [("RayCluster", item(managedFields=written_by("pulumi-kubernetes")))],
            "suspended by an admission webhook or controller that set spec.suspend: RayCluster ray",
        ),
        (
            [
                (
                    "RayCluster",
                    item(suspend=False)
                    | {"status": {"conditions": [{"type": "RayClusterSuspending", "status": "True"}]}},
                )
            ],
            "suspended by an admission webhook or controller that set spec.suspend: RayCluster ray",
        ),
    ],
)
def test_it_is_told_by_whom(owners: list[tuple[str, KubeObject | None]], by: str) -> None:
    assert suspended_by(owners, []) == by


@pytest.mark.parametrize(
    ("found", "parked"),
    [
        (item(managedFields=written_by("kubectl-patch")), True),
        (item(managedFields=written_by("kubectl-patch"), suspend=False), False),
        (item(managedFields=written_by("kubectl-patch"), labels=QUEUE), False),
        (item(managedFields=written_by("kueue-job-controller")), False),
        (item(managedFields=written_by("pulumi-deepseek", "Apply")), True),
        (item(managedFields=written_by("pulumi-deepseek")), False),  # a webhook, in what Pulumi has made
        (item(), False),
    ],
)
def test_what_somebody_has_suspended_is_parked_and_what_a_queue_has_is_not(found: KubeObject, *, parked: bool) -> None:
    assert is_parked(found) is parked


def test_pods_that_a_scheduling_gate_holds_are_told() -> None:
    gate = {"spec": {"schedulingGates": [{"name": "kueue.x-k8s.io/admission"}]}}
    pods = [{"metadata": {"name": f"worker-{number}"}, **gate} for number in range(6)]
    free: KubeObject = {"metadata": {"name": "head"}, "spec": {}}
    by = suspended_by([], [free, *pods])
    assert by.startswith("suspended by the scheduling gate kueue.x-k8s.io/admission: pods worker-0, worker-1")
    assert by.endswith("and 2 more")
    assert suspended_by([], [free, pods[0]]).endswith("pods worker-0")


def test_a_stopped_stopwatch_counts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(suspension.time, "monotonic", lambda: now)
    watch = Stopwatch()
    for after, stopped, counted in ((10, True, 10), (30, True, 10), (50, False, 10), (60, False, 20), (70, True, 30)):
        now = 100.0 + after
        watch.stop(stopped=stopped)
        assert watch.counted == counted, after
    now = 200.0
    assert (watch.total, watch.stopped, watch.counted) == (100, 70, 30)
