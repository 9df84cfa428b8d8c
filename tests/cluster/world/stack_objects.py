"""What the API server has of a stack: the objects of its namespace, and what an update did to them."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from pulumi import automation

from local.cluster.api_server import ApiServer
from local.machine import probes

NAMESPACE = "deepseek"
KINDS = {
    "/api/v1": ("configmaps", "persistentvolumeclaims", "pods", "secrets", "serviceaccounts", "services"),
    "/apis/batch/v1": ("jobs",),
    "/apis/gateway.networking.k8s.io/v1": ("httproutes",),
    "/apis/monitoring.coreos.com/v1": ("podmonitors", "prometheusrules"),
    "/apis/networking.k8s.io/v1": ("networkpolicies",),
    "/apis/policy/v1": ("poddisruptionbudgets",),
    "/apis/ray.io/v1": ("rayclusters",),
    "/apis/rbac.authorization.k8s.io/v1": ("roles", "rolebindings"),
}
OF_EVERY_NAMESPACE = {("configmaps", "kube-root-ca.crt"), ("serviceaccounts", "default")}
EMPTIED_SECONDS = 60.0


@contextmanager
def a_namespace(api: ApiServer, name: str) -> Generator[str]:
    """Have a namespace within this context; it and all that is in it are gone when that ends."""
    path = f"/api/v1/namespaces/{name}"
    api.apply(path, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    try:
        yield name
    finally:
        api.delete(path)
        assert probes.wait_until(lambda: api.get(path) is None, EMPTIED_SECONDS), f"namespace {name} does not end"


def objects(api: ApiServer, namespace: str = NAMESPACE) -> dict[tuple[str, str], Any]:
    """Return all objects of the namespace by kind and name, without those that every namespace has.

    A kind that the API server does not know has none.
    """
    found = {
        (kind, item["metadata"]["name"]): item
        for group, kinds in KINDS.items()
        for kind in kinds
        for item in (api.get(f"{group}/namespaces/{namespace}/{kind}") or {"items": []})["items"]
    }
    return {key: item for key, item in found.items() if key not in OF_EVERY_NAMESPACE}


def uids(api: ApiServer, kind: str, namespace: str = NAMESPACE) -> dict[str, str]:
    """Return the identity of each object of a kind, by name."""
    return {name: item["metadata"]["uid"] for (of, name), item in objects(api, namespace).items() if of == kind}


def changed(result: automation.PreviewResult | automation.UpResult) -> dict[str, int]:
    """Return how many resources a preview or an update creates, changes, replaces and deletes."""
    summary = result.change_summary if isinstance(result, automation.PreviewResult) else result.summary.resource_changes
    return {
        str(getattr(kind, "value", kind)): count for kind, count in (summary or {}).items() if "same" not in str(kind)
    }
