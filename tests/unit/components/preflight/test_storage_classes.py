"""What the classes and claims of a cluster say against a stack, before anything is made."""

from typing import Any

import pytest

from components.preflight.storage_classes import of_storage
from planning.parse import parse
from tests.unit.components.stub_api import stub_api
from tests.unit.planning.stacks import V3_FP8, raw

CLASSES = "/apis/storage.k8s.io/v1/storageclasses"
CLAIMS = "/api/v1/namespaces/deepseek/persistentvolumeclaims"
ONE_NODE = {"model": {"repository": V3_FP8}, "hardware": {"gpu": "NVIDIA-H200", "nodes": 1}}


def storage_class(name: str, provisioner: str, *, default: bool = False, created: str = "2026-01-01") -> dict[str, Any]:
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    metadata = {"name": name, "annotations": annotations, "creationTimestamp": f"{created}T00:00:00Z"}
    return {"metadata": metadata, "provisioner": provisioner}


def claim(*modes: str, volume: str = "") -> dict[str, Any]:
    return {"metadata": {"name": "theirs"}, "spec": {"accessModes": list(modes), "volumeName": volume}}


NFS = storage_class("nfs", "nfs.csi.k8s.io")
EBS = storage_class("gp3", "ebs.csi.aws.com", default=True)


def problems(answers: dict[str, Any], **sections: dict[str, Any]) -> list[str]:
    with stub_api(answers) as (api, _):
        return [str(problem) for problem in of_storage(api, "deepseek", parse(raw(**sections)))]


@pytest.mark.parametrize(
    "provisioner",
    ["ebs.csi.aws.com", "disk.csi.azure.com", "rook-ceph.rbd.csi.ceph.com", "cinder.csi.openstack.org", "topolvm.io"],
)
def test_a_default_class_of_disks_is_refused_where_nodes_share_the_claim(provisioner: str) -> None:
    default = storage_class("standard", provisioner, default=True)
    [told] = problems({CLASSES: [default, NFS]})
    assert told.startswith("storage.storageClass: unset, and the cluster's default, 'standard', makes disks")
    assert provisioner in told
    assert "perhaps: nfs" in told


def test_a_cluster_without_any_class_is_refused() -> None:
    [told] = problems({CLASSES: []})
    assert told.startswith("storage.storageClass: the cluster has no StorageClass")
    assert "storage.existingClaim" in told


def test_classes_of_which_none_is_the_default_are_named() -> None:
    [told] = problems({CLASSES: [NFS, storage_class("gp3", "ebs.csi.aws.com")]})
    assert "no StorageClass of the cluster is its default" in told
    assert "one of: nfs, gp3" in told


def test_of_several_defaults_the_newest_counts() -> None:
    newer = storage_class("files", "efs.csi.aws.com", default=True, created="2026-02-01")
    assert problems({CLASSES: [newer, EBS]}) == []


@pytest.mark.parametrize(
    ("answers", "sections"),
    [
        ({CLASSES: [storage_class("nfs", "nfs.csi.k8s.io", default=True)]}, {}),
        ({CLASSES: [EBS]}, ONE_NODE | {"storage": {"accessMode": "ReadWriteOnce"}}),
        ({CLASSES: [EBS], f"{CLAIMS}/weights-rwx": claim("ReadWriteMany", volume="pv")}, {}),
        ({CLASSES: 403}, {}),
        ({f"{CLAIMS}/theirs": claim("ReadWriteMany")}, {"storage": {"existingClaim": "theirs"}}),
        (
            {f"{CLAIMS}/theirs": claim("ReadWriteOnce")},
            ONE_NODE | {"storage": {"existingClaim": "theirs", "accessMode": "ReadWriteOnce"}},
        ),
    ],
    ids=["a file system", "a disk for one node", "a claim that has its volume", "forbidden", "theirs", "theirs on one"],
)
def test_what_works_is_not_refused(answers: dict[str, Any], sections: dict[str, dict[str, Any]]) -> None:
    assert problems(answers, **sections) == []


@pytest.mark.parametrize(
    ("modes", "told"),
    [
        (("ReadWriteOnce",), "storage.accessMode: claim 'theirs' gives ReadWriteOnce"),
        (("ReadWriteOncePod",), "storage.existingClaim: claim 'theirs' gives ReadWriteOncePod"),
        (("ReadOnlyMany",), "storage.existingClaim: claim 'theirs' gives ReadOnlyMany"),
    ],
)
def test_a_claim_is_used_as_what_it_is(modes: tuple[str, ...], told: str) -> None:
    [problem] = problems({f"{CLAIMS}/theirs": claim(*modes)}, **ONE_NODE, storage={"existingClaim": "theirs"})
    assert problem.startswith(told)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"metadata": {"name": "theirs", "deletionTimestamp": "2026-01-01T00:00:00Z"}}, "is being deleted"),
        ({"status": {"phase": "Lost"}}, "is Lost"),
        ({"spec": {"accessModes": ["ReadWriteMany"], "volumeMode": "Block"}}, "is a raw device"),
    ],
)
def test_a_claim_that_no_pod_can_mount_is_refused(changes: dict[str, Any], told: str) -> None:
    answers = {f"{CLAIMS}/theirs": {**claim("ReadWriteMany"), **changes}}
    [problem] = problems(answers, storage={"existingClaim": "theirs"})
    assert problem.startswith(f"storage.existingClaim: claim 'theirs' {told}")


def test_a_named_class_that_makes_disks_or_is_absent_is_refused() -> None:
    [disks] = problems({f"{CLASSES}/gp3": EBS}, storage={"storageClass": "gp3"})
    assert "'gp3' makes disks (ebs.csi.aws.com)" in disks
    [absent] = problems({CLASSES: [NFS]}, storage={"storageClass": "gp3"})
    assert "there is no StorageClass 'gp3'" in absent
