"""What the cluster must have before anything is created: namespace, KubeRay, StorageClass, claim, Secrets.

They belong to the cluster, not to a stack: deleting one stack's KubeRay would delete everybody's Ray clusters. All that
is missing is told together, each with the command that brings it. A preview without a reachable cluster only warns.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# The Kubernetes client's errors have no types.

from collections.abc import Iterator
from functools import partial

from kubernetes import client
from kubernetes.client.exceptions import ApiException

from components.cluster_api import ABSENT, NOT_FOUND, TIMEOUT_SECONDS, exists, read
from planning.problems import Problem
from planning.settings import StackSettings, Storage

BLOCK_STORAGE = {
    *("ebs.csi.aws.com", "pd.csi.storage.gke.io", "disk.csi.azure.com"),
    *("kubernetes.io/aws-ebs", "kubernetes.io/gce-pd", "kubernetes.io/azure-disk"),
}
"""Provisioners of the clouds' default classes: disks, which several nodes mount as raw devices only, if at all."""

KUBERAY = "1.6.1"
INSTALL_KUBERAY = (
    "helm install kuberay-operator kuberay-operator --repo https://ray-project.github.io/kuberay-helm "
    f"--version {KUBERAY} --namespace kuberay-system --create-namespace"
)


def missing(api: client.ApiClient, namespace: str, settings: StackSettings) -> Iterator[Problem]:
    """Return what the cluster lacks for a stack."""
    core = client.CoreV1Api(api)
    if not exists(lambda: core.read_namespace(namespace, _request_timeout=TIMEOUT_SECONDS)):
        yield Problem(
            "kubernetes:namespace", f"there is no namespace '{namespace}'", f"kubectl create namespace {namespace}"
        )
    if not _knows_ray_clusters(api):
        yield Problem("cluster", "KubeRay is not installed: the API server knows no RayCluster", INSTALL_KUBERAY)
    if settings.storage.existing_claim:
        yield from _of_claim(core, settings.storage.existing_claim, namespace, settings)
    elif settings.storage.storage_class:
        yield from _of_class(client.StorageV1Api(api), settings.storage.storage_class, settings.storage)
    image = settings.image
    secrets = {"pushSecret": image.push_secret, "pullSecret": image.pull_secret, "pipSecret": image.pip_secret}
    for key, secret in secrets.items():
        if secret and not exists(
            partial(core.read_namespaced_secret, secret, namespace, _request_timeout=TIMEOUT_SECONDS)
        ):
            yield Problem(f"image.{key}", f"there is no Secret '{secret}' in namespace '{namespace}'")


def _of_class(api: client.StorageV1Api, name: str, storage: Storage) -> Iterator[Problem]:
    shared = storage.access_mode == "ReadWriteMany"
    found = read(lambda: api.read_storage_class(name, _request_timeout=TIMEOUT_SECONDS))
    if found is ABSENT:
        classes = api.list_storage_class(_request_timeout=TIMEOUT_SECONDS).items
        names = ", ".join(str(item.metadata and item.metadata.name) for item in classes) or "none"
        yield Problem("storage.storageClass", f"there is no StorageClass '{name}'", f"one of: {names}")
    elif isinstance(found, client.V1StorageClass) and shared and found.provisioner in BLOCK_STORAGE:
        yield Problem(
            "storage.storageClass",
            f"'{name}' makes disks ({found.provisioner}), which have no ReadWriteMany",
            "a class of a shared file system (NFS, CephFS, Lustre, EFS, Filestore, Azure Files)",
        )


def _of_claim(api: client.CoreV1Api, name: str, namespace: str, settings: StackSettings) -> Iterator[Problem]:
    found = read(lambda: api.read_namespaced_persistent_volume_claim(name, namespace, _request_timeout=TIMEOUT_SECONDS))
    if found is ABSENT:
        yield Problem("storage.existingClaim", f"there is no claim '{name}' in namespace '{namespace}'")
    elif isinstance(found, client.V1PersistentVolumeClaim) and found.spec and settings.hardware.nodes > 1:
        modes = found.spec.access_modes or []
        if "ReadWriteMany" not in modes:
            text = f"claim '{name}' gives {', '.join(modes)}, and {settings.hardware.nodes} nodes mount it"
            yield Problem("storage.existingClaim", text, "a claim with ReadWriteMany")


def _knows_ray_clusters(api: client.ApiClient) -> bool:
    try:
        known = client.CustomObjectsApi(api).get_api_resources("ray.io", "v1", _request_timeout=TIMEOUT_SECONDS)
    except ApiException as error:
        if error.status != NOT_FOUND:
            raise
        return False
    return any(resource.name == "rayclusters" for resource in known.resources)
