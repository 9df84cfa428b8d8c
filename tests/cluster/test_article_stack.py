"""The life of the article's stack: preview, up, nothing to do, a change, destroy. One stack; the tests run in order."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pulumi import automation

from local import stack
from local.building import builds
from local.cluster.api_server import ApiServer
from tests.cluster.conftest import Configure
from tests.cluster.world import causes
from tests.cluster.world.stack_objects import NAMESPACE, changed, objects, uids
from tests.lint import manifests, waivers

NOWHERE = """
apiVersion: v1
kind: Config
current-context: nowhere
contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]
clusters: [{name: nowhere, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: nobody, user: {}}]
"""
BEFORE_SERVING = {"build-fetch", "build-ray-vllm", "mount", "claim", "download"}


def test_a_refused_stack_creates_nothing(configured: Configure, api: ApiServer) -> None:
    with pytest.raises(automation.CommandError, match=r"hardware\.nodes"):
        configured(hardware={"nodes": -1}).up()
    assert objects(api) == {}


def test_the_preview_shows_what_will_be_there(configured: Configure) -> None:
    assert changed(configured().preview()).keys() == {"create"}


def nodes_of_ray_pods(api: ApiServer) -> list[str]:
    pods = [item for (kind, _), item in objects(api).items() if kind == "pods"]
    return sorted(pod["spec"]["nodeName"] for pod in pods if "ray.io/cluster" in pod["metadata"]["labels"])


def test_it_goes_up_on_four_nodes_with_eight_gpus(configured: Configure, api: ApiServer) -> None:
    outputs = configured().up().outputs
    assert outputs["endpoint"].value == f"http://deepseek.{NAMESPACE}:8000"
    assert outputs["servedModels"].value == ["/mnt/models/DeepSeek-V3-bf16", "DeepSeek-V3-bf16"]
    assert nodes_of_ray_pods(api) == ["gpu-0", "gpu-1", "gpu-2", "gpu-3"]
    assert objects(api)["rayclusters", "deepseek"]["status"]["desiredGPU"] == "32"


def test_no_object_has_a_fault_that_is_not_waived_with_its_reason(api: ApiServer) -> None:
    found = manifests.findings(builds.program("kube-score"), manifests.of_api_server(objects(api)))
    told = "\n".join(map(str, waivers.unwaived(found)))
    assert not told, told


def test_a_second_preview_is_empty(configured: Configure) -> None:
    assert changed(configured().preview(expect_no_changes=True)) == {}


def test_a_refresh_finds_nothing_either(configured: Configure) -> None:
    selected = configured()
    selected.refresh()
    assert changed(selected.preview(expect_no_changes=True)) == {}


def test_a_changed_flag_replaces_the_serving_job_and_its_gate_only(configured: Configure, api: ApiServer) -> None:
    before = {kind: uids(api, kind) for kind in ("rayclusters", "jobs", "pods")}
    configured(serving={"maxModelLen": 8192}).up()
    assert uids(api, "rayclusters") == before["rayclusters"]
    jobs = uids(api, "jobs")
    assert {name.rsplit("-", 1)[0] for name in jobs} == BEFORE_SERVING | {"serve", "gate"}
    new = {name.rsplit("-", 1)[0] for name, uid in jobs.items() if uid not in before["jobs"].values()}
    assert new == {"serve", "gate"}


def test_fewer_nodes_replace_the_cluster_and_what_serves_on_it_and_some_are_avoided(
    configured: Configure, api: ApiServer
) -> None:
    before = uids(api, "rayclusters"), uids(api, "jobs"), uids(api, "persistentvolumeclaims")
    configured(
        hardware={"nodes": 2},
        serving={"maxModelLen": 8192, "gpuMemoryUtilization": 0.95},
        model={"precision": "fp8"},
        scheduling={"avoidNodes": ["gpu-0", "gpu-2"]},
    ).up()
    assert nodes_of_ray_pods(api) == ["gpu-1", "gpu-3"]
    assert uids(api, "rayclusters") != before[0]
    assert objects(api)["rayclusters", "deepseek"]["status"]["desiredGPU"] == "16"
    kept = {name.rsplit("-", 1)[0] for name, uid in uids(api, "jobs").items() if uid in before[1].values()}
    assert kept == BEFORE_SERVING - {"download"}, "it compares the weights with the plan, which is of FP8 now"
    assert uids(api, "persistentvolumeclaims") == before[2]


def test_destroy_leaves_the_weights_and_nothing_else(configured: Configure, api: ApiServer) -> None:
    configured().destroy()
    assert list(objects(api)) == [("persistentvolumeclaims", "weights-local-rwx")]


def test_gpus_of_another_product_than_planned_are_told_in_the_preview(configured: Configure) -> None:
    preview = configured(hardware={"gpu": "NVIDIA-H100-80GB-HBM3"}).preview()
    assert "32 of 32 GPUs are missing: 4 nodes with 8 NVIDIA-H100-80GB-HBM3 are planned" in preview.stdout
    assert "GPU nodes of the cluster: 4 with 8 NVIDIA-A100-SXM4-80GB" in preview.stdout


@pytest.fixture
def no_kuberay(api: ApiServer) -> Iterator[None]:
    with causes.kuberay_is_absent(api):
        yield


@pytest.mark.usefixtures("no_kuberay")
def test_a_cluster_without_what_the_stack_needs_is_refused_with_all_that_is_missing(configured: Configure) -> None:
    with pytest.raises(automation.CommandError) as refused:
        configured(storage={"storageClass": "absent"}, image={"pushSecret": "absent-too"}).preview()
    for told in ("KubeRay is not installed", "helm install", "StorageClass 'absent'", "one of: local", "'absent-too'"):
        assert told in str(refused.value)


def test_without_a_reachable_cluster_a_preview_warns_and_an_up_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = tmp_path / "kubeconfig"
    nowhere.write_text(NOWHERE)
    monkeypatch.setenv("KUBECONFIG", str(nowhere))
    selected = stack.select("a100-bf16", nowhere, folder=tmp_path / "pulumi")
    preview = selected.preview()
    assert "cannot be reached" in preview.stdout
    assert "KV tokens" in preview.stdout
    with pytest.raises(automation.CommandError, match="cannot be reached"):
        selected.up()
