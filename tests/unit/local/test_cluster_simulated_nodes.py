import json
from pathlib import Path

import pytest

from local.cluster import simulated, simulated_nodes
from local.cluster.certificates import Certificates, kubeconfig
from local.images.sandbox_image import archive


def test_a_serving_pod_stays_and_every_other_jobs_pod_completes() -> None:
    conditions = simulated_nodes.complete_jobs()["spec"]["selector"]["matchExpressions"]
    by_key = {condition["key"]: condition for condition in conditions}
    component = by_key['.metadata.labels["app.kubernetes.io/component"]']
    assert (component["operator"], component["values"]) == ("NotIn", ["serving"])
    assert by_key[".metadata.ownerReferences.[].kind"]["values"] == ["Job"]


def test_a_node_has_the_gpus_and_the_label_that_pods_are_placed_by() -> None:
    node = simulated_nodes.gpu_node("gpu-0", product="NVIDIA-H200", gpus=8)
    assert node["status"]["allocatable"]["nvidia.com/gpu"] == "8"
    assert node["metadata"]["labels"]["nvidia.com/gpu.product"] == "NVIDIA-H200"
    assert node["metadata"]["annotations"] == {"kwok.x-k8s.io/node": "fake"}


def test_a_second_simulated_cluster_at_the_same_time_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulated, "FOLDER", tmp_path / "simulated")
    with (
        simulated.exclusive(),
        pytest.raises(simulated.InUse, match="another process has the simulated cluster"),
        simulated.exclusive(),
    ):
        pytest.fail("both got it")


def test_certificates_are_made_once_and_the_kubeconfig_carries_them(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path / "certificates")
    certificates.ensure(["127.0.0.1"])
    made = certificates.admin.read_bytes()
    certificates.ensure(["127.0.0.1"])
    assert certificates.admin.read_bytes() == made
    assert certificates.admin_key.stat().st_mode & 0o077 == 0, "a private key is nobody else's"

    config = json.loads(kubeconfig("https://127.0.0.1:6443", certificates, "local"))
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:6443"
    assert config["users"][0]["user"].keys() == {"client-certificate-data", "client-key-data"}


def test_the_sandbox_image_is_the_same_each_time() -> None:
    assert archive(b"busybox") == archive(b"busybox")
