"""What is told when the claim cannot be mounted, against a stand-in for the API server."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import claim
import in_cluster
import own_deadline
import pytest
from claim import ClaimCheck
from failure import Failed
from own_deadline import OwnDeadline


def event(kind: str, name: str, reason: str, message: str, type_: str = "Warning", seen: str = "1") -> dict[str, Any]:
    return {
        "involvedObject": {"kind": kind, "name": name},
        "type": type_,
        "reason": reason,
        "message": message,
        "lastTimestamp": seen,
    }


def pod(state: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": "mount-1-abc"}, "status": {"containerStatuses": [{"name": "m", "state": state}]}}


MOUNT_JOB, OWN_JOB = (f"/apis/batch/v1/namespaces/models/jobs/{name}" for name in ("mount-1", "claim-1"))


class ApiServer:
    """A claim, pods and events."""

    def __init__(self) -> None:
        self.claim: dict[str, Any] | None = {
            "metadata": {"name": "weights-nfs-rwx", "namespace": "models"},
            "spec": {
                "storageClassName": "nfs",
                "accessModes": ["ReadWriteMany"],
                "resources": {"requests": {"storage": "3Ti"}},
            },
            "status": {"phase": "Pending"},
        }
        self.pods: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.status = 404
        self.patched: dict[str, Any] = {}
        self.job: dict[str, Any] = {"metadata": {"name": "mount-1"}, "spec": {}}

    def request(self, method: str, path: str, body: Any = None, **_: Any) -> dict[str, Any]:
        if method == "PATCH" and path in self.patched:
            self.patched[path] = body
            return {}
        if path == MOUNT_JOB:
            return self.job
        if path == OWN_JOB:
            return {"spec": {"activeDeadlineSeconds": 900}}
        if path.endswith("/events"):
            return {"items": self.events}
        if path.endswith("/pods?labelSelector=batch.kubernetes.io/job-name=mount-1"):
            return {"items": self.pods}
        if path.endswith("/persistentvolumeclaims/weights-nfs-rwx") and self.claim:
            return self.claim
        raise in_cluster.ApiError(self.status, f"no {path}")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> ApiServer:
    server = ApiServer()
    monkeypatch.setattr(in_cluster, "request", server.request)
    monkeypatch.setattr(claim, "POLL_SECONDS", 0.01)
    return server


def wait() -> None:
    deadline = OwnDeadline("claim-1")
    ClaimCheck(
        claim="weights-nfs-rwx", mount_job="mount-1", namespace="models", timeout_seconds=0.05, deadline=deadline
    ).wait()


def wait_while(seconds: float, then: Callable[[], None]) -> None:
    """Wait for the claim while something holds it back for so many seconds."""
    timer = threading.Timer(seconds, then)
    timer.start()
    try:
        wait()
    finally:
        timer.join()


@pytest.mark.parametrize("state", [{"running": {}}, {"terminated": {"exitCode": 1}}])
def test_a_pod_that_runs_or_has_run_had_the_volume(server: ApiServer, state: dict[str, Any]) -> None:
    server.pods = [pod(state)]
    wait()


def test_a_silent_provisioner_is_named_with_the_claim_and_what_to_do(server: ApiServer) -> None:
    said = "Waiting for a volume to be created either by the external provisioner 'nfs.example.com'"
    server.events = [event("PersistentVolumeClaim", "weights-nfs-rwx", "ExternalProvisioning", said, "Normal")]
    with pytest.raises(Failed) as failed:
        wait()
    for told in (
        "claim weights-nfs-rwx could not be mounted within 0 s (storage.mountTimeout)",
        "Pending (class nfs, ReadWriteMany, 3Ti)",
        "external provisioner 'nfs.example.com'",
        "set deepseek:storage.storageClass to a class that gives ReadWriteMany",
        "kubectl -n models delete persistentvolumeclaim weights-nfs-rwx",
    ):
        assert told in str(failed.value)


def test_what_the_provisioner_and_the_scheduler_said_last_is_told_and_nothing_of_others(server: ApiServer) -> None:
    server.events = [
        event("PersistentVolumeClaim", "weights-nfs-rwx", "ProvisioningFailed", "second", seen="3"),
        event("PersistentVolumeClaim", "weights-nfs-rwx", "ProvisioningFailed", "first", seen="2"),
        event("PersistentVolumeClaim", "another", "ProvisioningFailed", "of another claim"),
        event("Pod", "mount-1-abc", "FailedScheduling", "0/4 nodes are available"),
        event("Pod", "mount-1-abc", "Scheduled", "assigned", "Normal"),
        event("Pod", "head", "FailedMount", "of another pod"),
    ]
    with pytest.raises(Failed) as failed:
        wait()
    assert "claim: ProvisioningFailed: second" in str(failed.value)
    assert "pod: FailedScheduling: 0/4 nodes are available" in str(failed.value)
    for other in ("first", "another claim", "another pod", "assigned"):
        assert other not in str(failed.value)


def test_a_bound_claim_is_not_blamed_for_an_image_that_cannot_be_pulled(server: ApiServer) -> None:
    assert server.claim
    server.claim["status"]["phase"] = "Bound"
    server.pods = [pod({"waiting": {"reason": "ImagePullBackOff", "message": "not found"}})]
    with pytest.raises(Failed, match=r"ImagePullBackOff: not found; the volume is there") as failed:
        wait()
    assert "delete persistentvolumeclaim" not in str(failed.value)


def test_a_claim_that_does_not_exist_is_told(server: ApiServer) -> None:
    server.claim = None
    with pytest.raises(Failed, match=r"no such claim.*existingClaim"):
        wait()


SUSPENDED: dict[str, Any] = {"metadata": {"name": "mount-1", "labels": {"kueue.x-k8s.io/queue-name": "a100"}}}
GATED: dict[str, Any] = {"metadata": {"name": "mount-1-abc"}, "spec": {"schedulingGates": [{"name": "quota"}]}}


@pytest.mark.parametrize(
    ("job", "pods", "said"),
    [
        (SUSPENDED | {"spec": {"suspend": True}}, [], "suspended by Kueue (queue a100): Job mount-1"),
        ({"metadata": {"name": "mount-1"}}, [GATED], "suspended by the scheduling gate quota: pods mount-1-abc"),
    ],
    ids=["Job", "pod"],
)
def test_the_time_in_a_queue_is_told_and_does_not_count(
    server: ApiServer,
    job: dict[str, Any],
    pods: list[dict[str, Any]],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(own_deadline, "STEP_SECONDS", 0.05)
    monkeypatch.setenv("POD_NAMESPACE", "models")
    caplog.set_level("INFO")
    server.job, server.pods, server.patched = job, pods, {OWN_JOB: None}

    def goes_on() -> None:
        server.job, server.pods = {"metadata": {"name": "mount-1"}}, [pod({"running": {}})]

    wait_while(0.3, goes_on)
    assert said in caplog.messages
    assert server.patched[OWN_JOB]["spec"]["activeDeadlineSeconds"] >= 900 + own_deadline.AHEAD_SECONDS


def test_after_the_queue_the_whole_time_is_left(server: ApiServer) -> None:
    server.job = SUSPENDED | {"spec": {"suspend": True}}
    began = time.monotonic()

    def goes_on() -> None:
        server.job = SUSPENDED

    with pytest.raises(Failed, match=r"could not be mounted within 0 s \(storage.mountTimeout\): it is Pending"):
        wait_while(0.3, goes_on)
    assert time.monotonic() - began >= 0.3 + 0.05


def test_an_api_server_that_refuses_is_told_in_bounded_time(server: ApiServer) -> None:
    server.claim, server.status = None, 403
    with pytest.raises(Failed, match="could not be looked at"):
        wait()


@pytest.mark.parametrize("may_patch", [True, False])
def test_when_it_gives_up_it_stops_the_job_that_mounts(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, may_patch: bool
) -> None:
    server.patched = {MOUNT_JOB: None} if may_patch else {}
    message = tmp_path / "termination-log"
    variables = {"CLAIM": "weights-nfs-rwx", "MOUNT_JOB": "mount-1", "POD_NAMESPACE": "models", "TIMEOUT_SECONDS": "0"}
    variables["CLAIM_JOB"] = "claim-1"
    for name, value in (variables | {"TERMINATION_LOG": str(message)}).items():
        monkeypatch.setenv(name, value)
    assert claim.main() == 1
    assert "weights-nfs-rwx could not be mounted" in message.read_text()
    assert server.patched == ({MOUNT_JOB: {"spec": {"activeDeadlineSeconds": 1}}} if may_patch else {})
