"""The cluster's GPU nodes beside the planned ones: told, and not refused, for autoscaled ones come when asked for."""

from collections import Counter

from kubernetes import client

from components.cluster_api import TIMEOUT_SECONDS, read
from components.placement import GPU_LABEL
from components.ray_pods import GPU
from planning.settings import Hardware, StackSettings


def missing_gpus(api: client.ApiClient, settings: StackSettings) -> str | None:
    """Return how many GPUs of the plan the cluster lacks and which it has; nothing where it has enough.

    A node counts when it is ready, takes pods and has all GPUs of the plan to give, in use or not. Where nodes are
    selected by other labels nothing is said.
    """
    hardware = settings.hardware
    if not hardware.on_gpus or settings.scheduling.node_selector is not None:
        return None
    core = client.CoreV1Api(api)
    nodes = read(lambda: core.list_node(label_selector=GPU_LABEL, _request_timeout=TIMEOUT_SECONDS))
    if not isinstance(nodes, client.V1NodeList):
        return None
    found = Counter(map(_described, nodes.items))
    ready = sum(1 for node in nodes.items if _takes(node, hardware))
    if ready >= hardware.nodes:
        return None
    lacking = (hardware.nodes - ready) * hardware.gpus_per_node
    listed = ", ".join(f"{count} with {node}" for node, count in sorted(found.items())) or "none"
    return (
        f"hardware: {lacking} of {hardware.gpus} GPUs are missing: {hardware.nodes} nodes with "
        f"{hardware.gpus_per_node} {hardware.gpu} are planned and {ready} are ready; GPU nodes of the cluster: {listed}"
    )


def _takes(node: client.V1Node, hardware: Hardware) -> bool:
    return _product(node) == hardware.gpu and _gpus(node) >= hardware.gpus_per_node and not _trouble(node)


def _described(node: client.V1Node) -> str:
    trouble = _trouble(node)
    return f"{_gpus(node)} {_product(node)}" + (f" ({trouble})" if trouble else "")


def _trouble(node: client.V1Node) -> str:
    conditions = (node.status and node.status.conditions) or []
    if not any(condition.type == "Ready" and condition.status == "True" for condition in conditions):
        return "not ready"
    return "cordoned" if node.spec and node.spec.unschedulable else ""


def _product(node: client.V1Node) -> str:
    return str(((node.metadata and node.metadata.labels) or {})[GPU_LABEL])


def _gpus(node: client.V1Node) -> int:
    return int(((node.status and node.status.allocatable) or {}).get(GPU, "0"))
