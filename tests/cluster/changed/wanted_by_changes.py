"""What the changes need of the cluster.

Secrets, a claim, a priority, a namespace for builds, nodes, RDMA devices, kinds of the Prometheus Operator, a Gateway.
"""

import json
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from components.monitoring.monitoring import API_VERSION, GROUP
from local.cluster.api_server import ApiServer
from local.cluster.ray_operator import DEFINITIONS, stand_in
from local.cluster.simulated_nodes import NODES, gpu_node
from local.cluster.volumes import CLASSES, STORAGE_CLASS
from tests.cluster.changed.changes import (
    BUILD_NAMESPACE,
    CA_SECRET,
    CLAIM,
    H100,
    H200,
    HUGE_PAGES,
    INGRESS_CLASS,
    OTHER_REGISTRY_SECRET,
    PIP_SECRET,
    POOL,
    PROXY_SECRET,
    QUEUE,
    RDMA,
    REGISTRY_SECRET,
    TLS_SECRET,
)
from tests.cluster.changed.gateway import a_gateway
from tests.cluster.world.played_kubelet import CORE
from tests.cluster.world.stack_objects import a_namespace
from tests.cluster.world.watched_objects import wait_until
from tests.endpoint.certificates import make_certificate

MERGE = "application/merge-patch+json"
OPERATOR_KINDS = ("PodMonitor", "PrometheusRule")
RUNTIMES = [{"name": "", "features": {"userNamespaces": True}}]
LOGINS = json.dumps({"auths": {"registry.example.com": {}}})
OTHER_NODES = [
    *(gpu_node(f"h100-{n}", product=H100, gpus=8) for n in range(4)),
    gpu_node("h200-0", product=H200, gpus=8),
]


@contextmanager
def wanted_by_changes(api: ApiServer) -> Generator[None]:
    """Have all of it within this context."""
    with a_namespace(api, BUILD_NAMESPACE), a_gateway(api):
        try:
            for path, manifest in _objects().items():
                api.apply(path, manifest)
            for node in OTHER_NODES:
                api.create(NODES, node)
            _patch_nodes(api, labels=POOL, devices={RDMA: "8", HUGE_PAGES: "1Gi"})
            _let_volumes_grow(api, allowed=True)
            wait_until(lambda: _served(api) == set(OPERATOR_KINDS))
            yield
        finally:
            for path in (*_objects(), *(f"{NODES}/{node['metadata']['name']}" for node in OTHER_NODES)):
                api.delete(path)
            _patch_nodes(api, labels=dict.fromkeys(POOL), devices={RDMA: None, HUGE_PAGES: None})
            _let_volumes_grow(api, allowed=None)


def _patch_nodes(api: ApiServer, *, labels: Mapping[str, str | None], devices: Mapping[str, str | None]) -> None:
    for node in api.request("GET", NODES)["items"]:
        path = f"{NODES}/{node['metadata']['name']}"
        api.request("PATCH", path, json.dumps({"metadata": {"labels": labels}}), MERGE)
        api.update_status(path, {"capacity": devices, "allocatable": devices, "runtimeHandlers": RUNTIMES})


def _served(api: ApiServer) -> set[str]:
    """Return the kinds of the Prometheus Operator that the API server serves."""
    return {resource["kind"] for resource in (api.get(f"/apis/{API_VERSION}") or {"resources": []})["resources"]}


def _let_volumes_grow(api: ApiServer, *, allowed: bool | None) -> None:
    api.request("PATCH", f"{CLASSES}/{STORAGE_CLASS}", json.dumps({"allowVolumeExpansion": allowed}), MERGE)


@cache
def _certificate() -> Mapping[str, str]:
    """Return a certificate for all hosts of the changes, and its key."""
    with tempfile.TemporaryDirectory() as folder:
        return {file.name: file.read_text() for file in make_certificate(Path(folder, "made"), "*.example.com")}


def _objects() -> Mapping[str, dict[str, Any]]:
    secrets = {
        f"{core}/secrets/{name}": {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "type": kind,
            "stringData": data,
        }
        for core in (CORE, f"/api/v1/namespaces/{BUILD_NAMESPACE}")
        for name, kind, data in (
            (REGISTRY_SECRET, "kubernetes.io/dockerconfigjson", {".dockerconfigjson": LOGINS}),
            (OTHER_REGISTRY_SECRET, "kubernetes.io/dockerconfigjson", {".dockerconfigjson": LOGINS}),
            (PIP_SECRET, "Opaque", {"pip.conf": ""}),
            (CA_SECRET, "Opaque", {"ca.crt": _certificate()["tls.crt"]}),
            (PROXY_SECRET, "kubernetes.io/basic-auth", {"username": "site", "password": "example"}),
        )
    }
    certificate = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": TLS_SECRET},
        "type": "kubernetes.io/tls",
        "stringData": _certificate(),
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": CLAIM},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "3Ti"}}},
    }
    priority = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": QUEUE},
        "value": 1000,
    }
    definitions = {f"{DEFINITIONS}/{kind.lower()}s.{GROUP}": stand_in(kind, GROUP) for kind in OPERATOR_KINDS}
    ingress_class = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": INGRESS_CLASS},
        "spec": {"controller": "example.com/ingress"},
    }
    return {
        **secrets,
        **definitions,
        f"/apis/networking.k8s.io/v1/ingressclasses/{INGRESS_CLASS}": ingress_class,
        f"{CORE}/secrets/{TLS_SECRET}": certificate,
        f"{CORE}/persistentvolumeclaims/{CLAIM}": claim,
        f"/apis/scheduling.k8s.io/v1/priorityclasses/{QUEUE}": priority,
    }
