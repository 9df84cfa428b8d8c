"""The cluster's nodes beside the planned Ray pods: too few are a warning, because an autoscaler may add them."""

# pyright: reportUnknownVariableType=false
# The Kubernetes client's quantities have no types.

from collections import Counter
from collections.abc import Iterator

from kubernetes import client
from kubernetes.utils.quantity import parse_quantity

from components.network_policies import RAY
from components.preflight.cluster_nodes import Finding, Node, PodRequirements, added_up
from components.preflight.waiting_pods import waiting_for_gpus, with_waiting
from components.ray_cluster.ray_pods import GPU, resources
from components.shared.cluster_api import TIMEOUT_SECONDS, read
from components.shared.labels import selector
from components.shared.placement import GPU_LABEL, ray_nodes
from planning.settings.sections import StackSettings

MOST_NAMES = 6
RUNNING = "status.phase!=Succeeded,status.phase!=Failed"


def node_warnings(api: client.ApiClient, namespace: str, settings: StackSettings) -> Iterator[str]:
    """Return why nodes cannot take the planned Ray pods, by node and key.

    A node counts when it is ready, takes the Ray pods by its labels and taints, and has left what one of them asks for
    beside the pods of others, those included that wait for a node. On CPUs the Ray pods may share a node, so that one
    is enough. What this person may not list is left out.
    """
    found = _nodes(api, settings)
    if found is None:
        return
    wanted = PodRequirements(
        requests={name: parse_quantity(amount) for name, amount in _requests(settings).items()},
        tolerations=settings.scheduling.tolerations,  # pyright: ignore[reportArgumentType]
        avoided=settings.scheduling.avoid_nodes,
        built=settings.image.reference is None,
        keys=dict.fromkeys(settings.pods.resources, "pods.resources"),
    )
    names = {node.name for node in found}
    for name in (name for name in settings.scheduling.avoid_nodes if name not in names):
        yield f"scheduling.avoidNodes: none of the {len(found)} nodes that were looked at is called '{name}'"
    planned = _planned_nodes(settings) if settings.hardware.on_gpus else 1
    waiting = [pod for pod in waiting_for_gpus(api) if not _is_own(pod, namespace)] if GPU in wanted.requests else []
    ready, findings = 0, dict[Finding, list[str]]()
    for node in (node for node in found if _is_selected(node, settings)):
        of_node = list(node.findings(wanted))
        if not of_node and ready < planned:
            of_node = list(with_waiting(_with_requests(api, namespace, node), waiting).findings(wanted))
        ready += not of_node
        for finding in of_node:
            findings.setdefault(finding, []).append(node.name)
    if ready < planned:
        yield _missing(found, ready, settings)
    for finding, names in findings.items():
        if finding.kind in ("image", "sick") or (ready < planned and finding.kind != "state"):
            yield f"{finding.key}: {_listed(names)} {finding.text}"


def _nodes(api: client.ApiClient, settings: StackSettings) -> list[Node] | None:
    """Return all GPU nodes, or those with the labels of the stack file; on CPUs all nodes."""
    labels = settings.scheduling.node_selector
    selector = ",".join(f"{name}={value}" for name, value in sorted((labels or {}).items()))
    if labels is None and settings.hardware.on_gpus:
        selector = GPU_LABEL
    core = client.CoreV1Api(api)
    found = read(lambda: core.list_node(label_selector=selector, _request_timeout=TIMEOUT_SECONDS))
    return [Node(node) for node in found.items] if isinstance(found, client.V1NodeList) else None


def _is_selected(node: Node, settings: StackSettings) -> bool:
    return ray_nodes(settings.hardware, settings.scheduling).items() <= node.labels.items()


def _requests(settings: StackSettings) -> dict[str, str]:
    asked = resources(settings.hardware, settings.network, settings.pods)["requests"]
    return {name: str(amount) for name, amount in asked.items()}


def _with_requests(api: client.ApiClient, namespace: str, node: Node) -> Node:
    """Return the node with what pods request there, except the stack's own Ray pods: they are replaced."""
    core = client.CoreV1Api(api)
    found = read(
        lambda: core.list_pod_for_all_namespaces(
            field_selector=f"spec.nodeName={node.name},{RUNNING}",
            resource_version="0",
            _request_timeout=TIMEOUT_SECONDS,
        )
    )
    pods = found.items if isinstance(found, client.V1PodList) else []
    return Node(node.node, added_up(pod for pod in pods if not _is_own(pod, namespace)))


def _is_own(pod: client.V1Pod, namespace: str) -> bool:
    metadata = pod.metadata
    if not metadata or metadata.namespace != namespace:
        return False
    return selector(RAY).items() <= (metadata.labels or {}).items()


def _missing(found: list[Node], ready: int, settings: StackSettings) -> str:
    hardware = settings.hardware
    if not hardware.on_gpus:
        selected = " with the labels of scheduling.nodeSelector" if settings.scheduling.node_selector else ""
        return f"hardware: no node{selected} can take a Ray pod now, of {len(found)} that the cluster has"
    nodes = _planned_nodes(settings)
    lacking = (nodes - ready) * hardware.gpus_per_node
    counted = Counter(map(_described, found))
    listed = ", ".join(f"{count} with {node}" for node, count in sorted(counted.items())) or "none"
    which = "GPU nodes of the cluster" if settings.scheduling.node_selector is None else "nodes with these labels"
    return (
        f"hardware: {lacking} of {nodes * hardware.gpus_per_node} GPUs are missing: {nodes} nodes with "
        f"{hardware.gpus_per_node} {hardware.gpu} are planned and {ready} are ready; {which}: {listed}"
    )


def _planned_nodes(settings: StackSettings) -> int:
    """Return the nodes of all engines, with those that a surge needs."""
    return settings.hardware.nodes * settings.most_engines


def _described(node: Node) -> str:
    trouble = node.state()
    gpus = f"{int(node.allocatable.get(GPU, 0))} {node.product}".rstrip()
    return gpus + (f" ({trouble})" if trouble else "")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    listed = f"{', '.join(names[:MOST_NAMES])}{more}"
    return f"nodes {listed}: each" if len(names) > 1 else f"node {listed}"
