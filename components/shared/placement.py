"""Which nodes take the pods that hold no GPUs: the node that holds the volume, and those that may."""

from collections.abc import Mapping

from components.shared.labels import COMPONENT, INSTANCE, labels
from components.shared.pods import Manifest
from planning.settings.sections import Hardware, Scheduling, Storage

GPU_LABEL = "nvidia.com/gpu.product"
HOST = "kubernetes.io/hostname"
USES_VOLUME = ("ray", "mount", "download", "remove")
"""Components whose pods mount the claim; no other pod of the stack has these labels."""


def ray_nodes(hardware: Hardware, scheduling: Scheduling) -> dict[str, str]:
    """Return the labels of the nodes that take the Ray pods."""
    planned = {GPU_LABEL: hardware.gpu} if hardware.on_gpus else {}
    return planned if scheduling.node_selector is None else scheduling.node_selector


def off_avoided_nodes(scheduling: Scheduling) -> Manifest:
    """Return the part of a pod's affinity by which it stays off the nodes that the stack file names.

    By the node's name, which a field rule takes one at a time, and not by its label with the host's name, which differs
    from it on some clouds. Source: kubernetes.io, "Assigning Pods to Nodes", `matchFields`.
    """
    others = [{"key": "metadata.name", "operator": "NotIn", "values": [name]} for name in scheduling.avoid_nodes]
    rule = {"nodeSelectorTerms": [{"matchFields": others}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": rule}} if others else {}


def beside_the_volume(storage: Storage) -> Manifest:
    """Return the part of a pod by which it goes to the node that holds the claim, where only one node can.

    A volume of ReadWriteOnce is attached to one node: a pod on another one would wait for it as long as the Ray pod
    runs. The scheduler lets a pod that matches its own rule go anywhere when no pod matches it yet, so the first pod of
    a claim needs no other one.
    """
    if storage.access_mode != "ReadWriteOnce":
        return {}
    holders = {
        "matchLabels": {INSTANCE: labels("")[INSTANCE]},
        "matchExpressions": [{"key": COMPONENT, "operator": "In", "values": list(USES_VOLUME)}],
    }
    term = {"topologyKey": HOST, "labelSelector": holders}
    return {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


def first_at_the_volume(storage: Storage, scheduling: Scheduling, nodes: Mapping[str, str]) -> Manifest:
    """Return the same for the first pod that mounts the claim.

    A class that waits for its first consumer makes the volume where that pod goes, so that pod goes to one of the
    `nodes`, by their labels, that may take the Ray pod.
    """
    found = beside_the_volume(storage)
    if storage.access_mode != "ReadWriteOnce":
        return found
    selector = {"nodeSelector": dict(nodes)} if nodes else {}
    return selector | {"affinity": {**found["affinity"], **off_avoided_nodes(scheduling)}}
