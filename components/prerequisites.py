"""What the cluster must have before anything is created: namespace, KubeRay, StorageClass, claim, Secrets.

They belong to the cluster, not to a stack: deleting one stack's KubeRay would delete everybody's Ray clusters. All that
is missing is told together, each with the command that brings it. A preview without a reachable cluster only warns.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# The Kubernetes client's configuration and errors have no types.

import logging
import os
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError

from components.ray_pods import GPU_LABEL
from planning.problems import Problem
from planning.settings import StackSettings, Storage

TIMEOUT_SECONDS = 5
NOT_FOUND = 404
FORBIDDEN = 403
ABSENT = object()
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


class UnreachableError(Exception):
    """No answer from the API server; the text says why."""


@dataclass(frozen=True)
class Cluster:
    """Where the API server is, as the provider's configuration says."""

    kubeconfig: str | None
    context: str | None
    namespace: str


def missing(cluster: Cluster, settings: StackSettings) -> list[Problem]:
    """Return what the cluster lacks for a stack. Raises UnreachableError within about `TIMEOUT_SECONDS`."""
    with _reached():
        return list(_missing(_api(cluster), cluster.namespace, settings))


def unplanned_nodes(cluster: Cluster, settings: StackSettings) -> str | None:
    """Return what is odd about the cluster's GPU nodes, if anything; autoscaled ones may come only when asked for.

    Raises UnreachableError.
    """
    hardware = settings.hardware
    if not hardware.on_gpus or settings.scheduling.node_selector is not None:
        return None
    with _reached():
        nodes = client.CoreV1Api(_api(cluster)).list_node(label_selector=GPU_LABEL, _request_timeout=TIMEOUT_SECONDS)
    products = Counter(str(((node.metadata and node.metadata.labels) or {})[GPU_LABEL]) for node in nodes.items)
    if products[hardware.gpu] >= hardware.nodes:
        return None
    found = ", ".join(f"{count} of {product}" for product, count in sorted(products.items())) or "none"
    return f"hardware.gpu: {hardware.nodes} nodes of {hardware.gpu} are planned; the cluster has {found}"


@contextmanager
def _reached() -> Generator[None]:
    try:
        yield
    except (ConfigException, HTTPError, OSError) as error:
        raise UnreachableError(str(error).partition("\n")[0]) from None
    except ApiException as error:
        raise UnreachableError(f"{error.status} {error.reason}") from None


def _api(cluster: Cluster) -> client.ApiClient:
    # One attempt: a person waits for the preview.
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    settings = client.Configuration()
    settings.retries = False
    if cluster.kubeconfig and cluster.kubeconfig.lstrip().startswith(("{", "apiVersion", "kind", "clusters")):
        import yaml  # noqa: PLC0415  only for a kubeconfig given as text

        config.load_kube_config_from_dict(yaml.safe_load(cluster.kubeconfig), cluster.context, settings)
    else:
        # The client reads KUBECONFIG once, when it is imported.
        file = cluster.kubeconfig or os.environ.get("KUBECONFIG")
        config.load_kube_config(file, cluster.context, settings)
    return client.ApiClient(settings)


def _missing(api: client.ApiClient, namespace: str, settings: StackSettings) -> Iterator[Problem]:
    core = client.CoreV1Api(api)
    if not _exists(lambda: core.read_namespace(namespace, _request_timeout=TIMEOUT_SECONDS)):
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
        if secret and not _exists(
            partial(core.read_namespaced_secret, secret, namespace, _request_timeout=TIMEOUT_SECONDS)
        ):
            yield Problem(f"image.{key}", f"there is no Secret '{secret}' in namespace '{namespace}'")


def _of_class(api: client.StorageV1Api, name: str, storage: Storage) -> Iterator[Problem]:
    shared = storage.access_mode == "ReadWriteMany"
    found = _read(lambda: api.read_storage_class(name, _request_timeout=TIMEOUT_SECONDS))
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
    found = _read(
        lambda: api.read_namespaced_persistent_volume_claim(name, namespace, _request_timeout=TIMEOUT_SECONDS)
    )
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


def _exists(read: Callable[[], object]) -> bool:
    """Return whether `read` finds its object; what this person may not read counts as there."""
    return _read(read) is not ABSENT


def _read(read: Callable[[], object]) -> object:
    """Return what `read` finds, ABSENT where there is nothing, None where this person may not read."""
    try:
        return read()
    except ApiException as error:
        if error.status == NOT_FOUND:
            return ABSENT
        if error.status != FORBIDDEN:
            raise
    return None
