"""Whether the Ray pods can use the claim's volume where they are to run; a volume that is there cannot move.

Most disks are in one zone or on one node. Other GPUs, by `hardware.gpu` or `scheduling.nodeSelector`, may be elsewhere.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# The Kubernetes client's lists have no types.

from collections.abc import Iterator

from kubernetes import client
from kubernetes.utils.quantity import parse_quantity

from components.model_store.claim import claim_name
from components.network_policies import RAY
from components.preflight.node_labels import allows, described
from components.shared.cluster_api import TIMEOUT_SECONDS, read
from components.shared.labels import selector
from components.shared.placement import ray_nodes
from planning.problems import Problem
from planning.settings.quantities import size_text
from planning.settings.sections import StackSettings

LATEST = "0"
"""The resource version by which the API server answers from its memory."""


def held_elsewhere(api: client.ApiClient, namespace: str, settings: StackSettings) -> Iterator[Problem]:
    """Return why a stack that runs cannot change its nodes: the Job that mounts the claim has to go to the old one too.

    A ReadWriteOnce claim is held by the node of the Ray pod until that one ends, and that is after the Job.
    """
    if settings.storage.access_mode != "ReadWriteOnce":
        return
    core, wanted = client.CoreV1Api(api), _selector(ray_nodes(settings.hardware, settings.scheduling))
    ours = _selector(selector(RAY))
    found = read(lambda: core.list_namespaced_pod(namespace, label_selector=ours, _request_timeout=TIMEOUT_SECONDS))
    pods = found.items if isinstance(found, client.V1PodList) else []
    holders = {str(pod.spec.node_name) for pod in pods if pod.spec and pod.spec.node_name}
    if not holders:
        return
    nodes = _nodes(core, wanted)
    stays = settings.storage.keep or settings.storage.existing_claim
    kept = "the claim stays with its weights" if stays else "without storage.keep the weights are downloaded anew"
    anew = f"`pulumi destroy` and then `pulumi up`: {kept}"
    where, claim = ", ".join(sorted(holders)), _claim(settings)
    held = f"the Ray pod runs on node {where}, which holds the ReadWriteOnce claim '{claim}'"
    if nodes is not None and not holders <= set(map(_name, nodes)):
        yield Problem(_key(settings), f"{held} and has not the labels {wanted}", anew)
    if holders & set(settings.scheduling.avoid_nodes):
        yield Problem("scheduling.avoidNodes", held, anew)


def volume_warnings(api: client.ApiClient, namespace: str, settings: StackSettings) -> Iterator[str]:
    """Return where the claim's volume is, if no node that the Ray pods may take is there."""
    core, name = client.CoreV1Api(api), _claim(settings)
    claim = read(
        lambda: core.read_namespaced_persistent_volume_claim(name, namespace, _request_timeout=TIMEOUT_SECONDS)
    )
    if not isinstance(claim, client.V1PersistentVolumeClaim) or not claim.spec or not claim.spec.volume_name:
        return
    volume_name = claim.spec.volume_name
    volume = read(lambda: core.read_persistent_volume(volume_name, _request_timeout=TIMEOUT_SECONDS))
    affinity = isinstance(volume, client.V1PersistentVolume) and volume.spec and volume.spec.node_affinity
    wanted = _selector(ray_nodes(settings.hardware, settings.scheduling))
    nodes = _nodes(core, wanted) if affinity and affinity.required else None
    if not affinity or not affinity.required or not nodes:
        return
    required = affinity.required
    nodes = [node for node in nodes if _name(node) not in settings.scheduling.avoid_nodes]
    if not any(allows(required, (node.metadata and node.metadata.labels) or {}) for node in nodes):
        yield (
            f"{_key(settings)}: the volume of claim '{name}' can be used on nodes with {described(required)} only, and "
            f"of the {len(nodes)} nodes{f' with {wanted}' if wanted else ''} none is there: add one there, or set "
            "storage.storageClass or storage.existingClaim to another claim, onto which the weights are downloaded anew"
        )


def capacity_warnings(api: client.ApiClient, namespace: str, settings: StackSettings, needed: int) -> Iterator[str]:
    """Return that an existing claim says to be smaller than `needed` bytes.

    It is a warning, because what NFS claims say is often no bound, and the weights may be there already.
    """
    name = settings.storage.existing_claim
    if not name or not needed:
        return
    core = client.CoreV1Api(api)
    claim = read(
        lambda: core.read_namespaced_persistent_volume_claim(name, namespace, _request_timeout=TIMEOUT_SECONDS)
    )
    capacity = isinstance(claim, client.V1PersistentVolumeClaim) and claim.status and claim.status.capacity
    size = (capacity or {}).get("storage")
    if size and parse_quantity(size) < needed:
        yield (
            f"storage.existingClaim: claim '{name}' has a capacity of {size}, and weights and compile caches need "
            f"{size_text(needed)}: enlarge it, unless its file system has more room than it says"
        )


def _claim(settings: StackSettings) -> str:
    return settings.storage.existing_claim or claim_name(settings.storage)


def _key(settings: StackSettings) -> str:
    if settings.scheduling.node_selector is not None:
        return "scheduling.nodeSelector"
    return "hardware.gpu" if settings.hardware.on_gpus else "storage"


def _name(node: client.V1Node) -> str:
    return str(node.metadata and node.metadata.name)


def _selector(labels: dict[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))


def _nodes(core: client.CoreV1Api, labels: str) -> list[client.V1Node] | None:
    """Return the nodes with these labels; None where this person may not list them."""
    found = read(
        lambda: core.list_node(label_selector=labels, resource_version=LATEST, _request_timeout=TIMEOUT_SECONDS)
    )
    return found.items if isinstance(found, client.V1NodeList) else None
