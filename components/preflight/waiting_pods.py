"""Pods that wait for GPUs: they get a node before the stack's Ray pods, which are made later.

Two stacks would otherwise plan the same free nodes. How the scheduler will place such a pod is guessed: on the first
node that has its labels, whose taints it tolerates and that has room. Its affinity to other pods, its volumes and its
priority are not looked at.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# The Kubernetes client's quantities and lists have no types.

from collections.abc import Mapping
from typing import cast

from kubernetes import client

from components.preflight.cluster_nodes import Node, PodRequirements, added_up, requests_of
from components.preflight.node_labels import allows
from components.ray_cluster.ray_pods import GPU
from components.shared.cluster_api import TIMEOUT_SECONDS, read

WAITING = "spec.nodeName=,status.phase=Pending"


def waiting_for_gpus(api: client.ApiClient) -> list[client.V1Pod]:
    """Return the cluster's pods that wait for GPUs, the oldest first; none where this person may not list them.

    One with a scheduling gate, such as Kueue's, is not among them: the scheduler passes it over.
    """
    core = client.CoreV1Api(api)
    found = read(
        lambda: core.list_pod_for_all_namespaces(
            field_selector=WAITING, resource_version="0", _request_timeout=TIMEOUT_SECONDS
        )
    )
    pods = found.items if isinstance(found, client.V1PodList) else []
    return sorted(filter(_waits, pods), key=lambda pod: str(pod.metadata and pod.metadata.creation_timestamp))


def with_waiting(node: Node, waiting: list[client.V1Pod]) -> Node:
    """Return the node with those waiting pods on it that have room there; they are taken from the list."""
    placed: list[client.V1Pod] = []
    for pod in list(waiting):
        there = Node(node.node, node.requested, added_up(placed))
        if _matches(pod, node.labels) and not any(there.findings(_wanted(pod))):
            placed.append(pod)
            waiting.remove(pod)
    return Node(node.node, node.requested, added_up(placed))


def _waits(pod: client.V1Pod) -> bool:
    going = pod.metadata and pod.metadata.deletion_timestamp
    gated = pod.spec and pod.spec.scheduling_gates
    return not going and not gated and bool(requests_of(pod).get(GPU))


def _wanted(pod: client.V1Pod) -> PodRequirements:
    tolerations: list[client.V1Toleration] = (pod.spec and pod.spec.tolerations) or []
    return PodRequirements(
        requests_of(pod), [cast("dict[str, object]", item.to_dict()) for item in tolerations], built=False
    )


def _matches(pod: client.V1Pod, labels: Mapping[str, str]) -> bool:
    """Whether a node with these labels is one that the pod asks for."""
    if not pod.spec or not (pod.spec.node_selector or {}).items() <= labels.items():
        return False
    affinity = pod.spec.affinity and pod.spec.affinity.node_affinity
    required = affinity and affinity.required_during_scheduling_ignored_during_execution
    if not required:
        return True
    return allows(required, labels)
