"""Claims that get no volume, and a download that fails: what `up` says, and when. Here the tests play the kubelet."""

import json
from typing import Any

import claim
import in_cluster
import pytest
from claim import ClaimCheck
from failure import Failed
from own_deadline import OwnDeadline
from pulumi import automation

from local.cluster.api_server import ApiError, ApiServer
from tests.cluster.conftest import Configure, Nodes
from tests.cluster.world.played_kubelet import CORE, Up, end_pod, pending_pods
from tests.cluster.world.stack_objects import NAMESPACE, a_namespace

CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
FINISHED = {"reference": "registry.example.com/served:1", "fetchReference": "registry.example.com/fetch:1"}
FULL = "The volume is full (0 B free of 3.00 TiB): enlarge deepseek:storage.size or remove what else is on it."


@pytest.fixture
def api_of_pods(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> ApiServer:
    """Let the pods' programs reach the API server from here."""

    def request(method: str, path: str, *_: Any) -> dict[str, Any]:
        try:
            return api.request(method, path)
        except ApiError as error:
            raise in_cluster.ApiError(error.status, str(error)) from None

    monkeypatch.setattr(in_cluster, "request", request)
    monkeypatch.setattr(claim, "POLL_SECONDS", 0.5)
    return api


def make_class(api: ApiServer, name: str, provisioner: str, mode: str) -> None:
    manifest = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": provisioner,
        "volumeBindingMode": mode,
    }
    api.apply(f"{CLASSES}/{name}", manifest)


def why(api: ApiServer, claim_name: str, mount_job: str, seconds: float, namespace: str = NAMESPACE) -> str:
    check = ClaimCheck(
        claim=claim_name,
        mount_job=mount_job,
        namespace=namespace,
        timeout_seconds=seconds,
        deadline=OwnDeadline("claim"),
    )
    with pytest.raises(Failed) as failed:
        check.wait()
    path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim_name}"
    assert api.request("GET", path)["status"]["phase"] == "Pending"
    return str(failed.value)


def test_a_provisioner_that_never_answers_ends_the_up_with_claim_reason_and_remedy(
    configured: Configure, api_of_pods: ApiServer, nodes: Nodes
) -> None:
    api = api_of_pods
    nodes.close()
    make_class(api, "silent", "nobody.example.com/files", "Immediate")
    up = Up(configured(storage={"storageClass": "silent"}, image=FINISHED))

    def step() -> None:
        for pod in pending_pods(api, "claim-"):
            variables = {item["name"]: item.get("value") for item in pod["spec"]["containers"][0]["env"]}
            assert float(variables["TIMEOUT_SECONDS"]) == 900
            end_pod(api, pod, why(api, variables["CLAIM"], variables["MOUNT_JOB"], 5))
            [mount] = pending_pods(api, "mount-")  # whose Job reaches its own bound two minutes later
            end_pod(api, mount, "DeadlineExceeded")

    error = up.play(step)
    for told in (
        "claim weights-silent-rwx could not be mounted",
        "Pending (class silent, ReadWriteMany, 3Ti)",
        "nobody.example.com/files",
        "unbound immediate PersistentVolumeClaims",
        "set deepseek:storage.storageClass to a class that gives ReadWriteMany",
    ):
        assert told in error
    up.selected.destroy()
    api.delete(f"{CORE}/persistentvolumeclaims/weights-silent-rwx")


def test_a_class_that_waits_for_a_pod_and_then_has_no_volume_is_told_too(api_of_pods: ApiServer) -> None:
    api = api_of_pods
    make_class(api, "block", "kubernetes.io/no-provisioner", "WaitForFirstConsumer")
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "weights-block-rwx"},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "block",
            "resources": {"requests": {"storage": "3Ti"}},
        },
    }
    pod_spec = {
        "restartPolicy": "Never",
        "containers": [{"name": "mount", "image": "registry.example.com/fetch:1"}],
        "volumes": [{"name": "weights", "persistentVolumeClaim": {"claimName": "weights-block-rwx"}}],
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "mount-block"},
        "spec": {"template": {"spec": pod_spec}},
    }
    with a_namespace(api, "without-a-volume") as namespace:
        api.create(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims", claim)
        api.create(f"/apis/batch/v1/namespaces/{namespace}/jobs", job)
        told = why(api, "weights-block-rwx", "mount-block", 10, namespace)
    assert "didn't find available persistent volumes to bind" in told
    assert "class block, ReadWriteMany" in told


@pytest.mark.faults
def test_a_volume_that_fills_up_is_told_by_the_up(configured: Configure, api: ApiServer, nodes: Nodes) -> None:
    nodes.close()
    up = Up(configured(image=FINISHED))

    def step() -> None:
        for prefix, message in (("claim-", ""), ("mount-", ""), ("download-", FULL)):
            for pod in pending_pods(api, prefix):
                end_pod(api, pod, message)

    assert FULL in up.play(step)
    up.selected.destroy()


def test_disks_and_claims_for_one_node_are_refused_before_anything_is_made(
    configured: Configure, api: ApiServer
) -> None:
    make_class(api, "gp3", "ebs.csi.aws.com", "WaitForFirstConsumer")
    with pytest.raises(automation.CommandError, match=r"'gp3' makes disks \(ebs\.csi\.aws\.com\)"):
        configured(storage={"storageClass": "gp3"}).preview()
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": "gp3", "resources": {"requests": {"storage": "3Ti"}}}
    kind = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
    api.create(f"{CORE}/persistentvolumeclaims", json.dumps({**kind, "metadata": {"name": "theirs"}, "spec": spec}))
    with pytest.raises(automation.CommandError, match="'theirs' gives ReadWriteOnce, and 4 nodes mount it"):
        configured(storage={"existingClaim": "theirs"}).preview()
    api.delete(f"{CORE}/persistentvolumeclaims/theirs")
