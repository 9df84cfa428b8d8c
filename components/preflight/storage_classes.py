"""Whether the cluster can make the stack's claim: its StorageClass or the default one, or a claim's modes."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# The Kubernetes client's errors have no types.

from collections.abc import Iterator

from kubernetes import client

from components.model_store.claim import claim_name
from components.shared.cluster_api import ABSENT, TIMEOUT_SECONDS, read
from planning.problems import Problem, fixable
from planning.settings.sections import StackSettings, Storage

KEY = "storage.storageClass"
SHARED = "ReadWriteMany"
DEFAULT = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
BLOCK_STORAGE = {
    *("ebs.csi.aws.com", "pd.csi.storage.gke.io", "disk.csi.azure.com", "ebs.csi.eks.amazonaws.com"),
    *("kubernetes.io/aws-ebs", "kubernetes.io/gce-pd", "kubernetes.io/azure-disk", "kubernetes.io/cinder"),
    *("cinder.csi.openstack.org", "blockvolume.csi.oraclecloud.com", "vpc.block.csi.ibm.io", "csi.hetzner.cloud"),
    *("dobs.csi.digitalocean.com", "linodebs.csi.linode.com", "block.csi.vultr.com", "csi.scaleway.com"),
    *("diskplugin.csi.alibabacloud.com", "csi.exoscale.com", "topolvm.io", "rancher.io/local-path"),
}
"""Provisioners of disks, which several nodes mount as raw devices only, if at all."""

BLOCK_SUFFIXES = (".rbd.csi.ceph.com", "rbd.csi.ceph.com")
"""Ceph's disks; Rook puts its namespace before the name."""

SHARED_CLASS = "a class of a shared file system (NFS, CephFS, Lustre, EFS, Filestore, Azure Files)"


def of_storage(api: client.ApiClient, namespace: str, settings: StackSettings) -> Iterator[Problem]:
    """Return what keeps the claim from being made, or its pods from mounting it."""
    storage, core = settings.storage, client.CoreV1Api(api)
    if storage.existing_claim:
        yield from _of_claim(core, storage.existing_claim, namespace, settings)
    elif storage.storage_class:
        yield from _of_class(client.StorageV1Api(api), storage.storage_class, storage)
    elif not _is_bound(core, namespace, storage):
        yield from _of_default_class(client.StorageV1Api(api), storage)


def _of_class(api: client.StorageV1Api, name: str, storage: Storage) -> Iterator[Problem]:
    found = read(lambda: api.read_storage_class(name, _request_timeout=TIMEOUT_SECONDS))
    if found is ABSENT:
        yield Problem(KEY, f"there is no StorageClass '{name}'", f"one of: {_names(_classes(api) or [])}")
    elif isinstance(found, client.V1StorageClass) and storage.access_mode == SHARED and _makes_disks(found):
        yield Problem(KEY, f"'{name}' makes disks ({found.provisioner}), which have no ReadWriteMany", SHARED_CLASS)


def _of_default_class(api: client.StorageV1Api, storage: Storage) -> Iterator[Problem]:
    """Look at the class that Kubernetes takes for a claim without a class: the newest of the default classes."""
    classes = _classes(api)
    if classes is None:
        return
    if not classes:
        yield Problem(
            KEY,
            "the cluster has no StorageClass, so that nothing makes a volume for the claim",
            f"installing {SHARED_CLASS}, or storage.existingClaim",
        )
        return
    defaults = sorted(filter(_is_default, classes), key=_created)
    if not defaults:
        text = "unset, and no StorageClass of the cluster is its default"
        yield Problem(KEY, text, f"one of: {_names(classes)}")
    elif storage.access_mode == SHARED and _makes_disks(defaults[-1]):
        default = defaults[-1]
        others = [item for item in classes if not _makes_disks(item)]
        listed = f", of these perhaps: {_names(others)}" if others else ""
        yield Problem(
            KEY,
            f"unset, and the cluster's default, '{_name(default)}', makes disks ({default.provisioner}), which have no "
            "ReadWriteMany",
            SHARED_CLASS + listed,
        )


def _of_claim(api: client.CoreV1Api, name: str, namespace: str, settings: StackSettings) -> Iterator[Problem]:
    found = read(lambda: api.read_namespaced_persistent_volume_claim(name, namespace, _request_timeout=TIMEOUT_SECONDS))
    if found is ABSENT:
        yield Problem("storage.existingClaim", f"there is no claim '{name}' in namespace '{namespace}'")
    if not isinstance(found, client.V1PersistentVolumeClaim) or not found.spec:
        return
    if why := _unusable(found):
        yield Problem("storage.existingClaim", f"claim '{name}' {why}")
    modes, nodes = found.spec.access_modes or [], settings.hardware.nodes
    gives = f"claim '{name}' gives {', '.join(modes)}"
    if SHARED in modes:
        return
    if nodes > 1:
        yield Problem("storage.existingClaim", f"{gives}, and {nodes} nodes mount it", "a claim with ReadWriteMany")
    elif "ReadWriteOnce" not in modes:
        text = f"{gives}; Jobs write to it, also while the Ray pod reads"
        yield Problem("storage.existingClaim", text, "a claim with ReadWriteMany or ReadWriteOnce")
    elif settings.storage.access_mode == SHARED:
        text = f"{gives}; Jobs then have to go to the node that holds it"
        yield fixable("storage.accessMode", text, {"storage.accessMode": "ReadWriteOnce"})


def _unusable(claim: client.V1PersistentVolumeClaim) -> str:
    """Return why no pod can mount a claim, whatever it asks for."""
    if claim.metadata and claim.metadata.deletion_timestamp:
        return "is being deleted, and is gone once no pod mounts it"
    if claim.status and claim.status.phase == "Lost":
        return "is Lost: its PersistentVolume is gone"
    if claim.spec and claim.spec.volume_mode == "Block":
        return "is a raw device (volumeMode Block), which has no folders"
    return ""


def _is_bound(api: client.CoreV1Api, namespace: str, storage: Storage) -> bool:
    name = claim_name(storage)
    found = read(lambda: api.read_namespaced_persistent_volume_claim(name, namespace, _request_timeout=TIMEOUT_SECONDS))
    return isinstance(found, client.V1PersistentVolumeClaim) and bool(found.spec and found.spec.volume_name)


def _classes(api: client.StorageV1Api) -> list[client.V1StorageClass] | None:
    """Return the classes of the cluster; None where this person may not list them."""
    found = read(lambda: api.list_storage_class(_request_timeout=TIMEOUT_SECONDS))
    return found.items if isinstance(found, client.V1StorageClassList) else None


def _makes_disks(item: client.V1StorageClass) -> bool:
    return item.provisioner in BLOCK_STORAGE or item.provisioner.endswith(BLOCK_SUFFIXES)


def _is_default(item: client.V1StorageClass) -> bool:
    annotations = (item.metadata and item.metadata.annotations) or {}
    return any(annotations.get(name) == "true" for name in DEFAULT)


def _created(item: client.V1StorageClass) -> str:
    return str(item.metadata and item.metadata.creation_timestamp)


def _name(item: client.V1StorageClass) -> str:
    return str(item.metadata and item.metadata.name)


def _names(classes: list[client.V1StorageClass]) -> str:
    return ", ".join(map(_name, classes)) or "none"
