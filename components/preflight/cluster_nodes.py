"""A node of the cluster beside a Ray pod: what it has left, and what keeps the pod from running there."""

# pyright: reportUnknownVariableType=false
# The Kubernetes client's quantities have no types.

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from kubernetes import client
from kubernetes.utils.quantity import parse_quantity

from components.ray_cluster.ray_pods import GPU
from components.shared.placement import GPU_LABEL
from components.shared.pods import ARCHITECTURE
from planning.builds import LOCK_ARCHITECTURE
from planning.settings.quantities import GiB, gib_text

Amounts = Mapping[str, Decimal]

LEAST_DRIVER = 580
"""The oldest NVIDIA driver that runs CUDA 13, for which the lock's torch is built."""
DRIVER_LABELS = ("nvidia.com/cuda.driver-version.major", "nvidia.com/cuda.driver.major")
"""The labels of NVIDIA's feature discovery: since 0.16, and before."""
IMAGE_BYTES = 25 * GiB
"""Assumed for the serving image on the node's disk: the Ray image, and 6 GiB of vLLM with its libraries."""
DISK = "ephemeral-storage"
KEYS = {"cpu": "hardware.cpu", "memory": "hardware.memory", GPU: "hardware.gpusPerNode", DISK: "hardware"}
BYTES = ("memory", DISK)
OF_THE_STATE = tuple(f"node.kubernetes.io/{trouble}" for trouble in ("not-ready", "unreachable", "unschedulable"))
"""Taints that are told as the node's state."""
TOLERATED = "node.kubernetes.io/memory-pressure"
"""By every pod that asks for memory: Kubernetes itself adds that."""

OF_SICK_GPUS = ("Gpu", "SysLogs", "NVSwitch")
"""With which conditions of a node begin that tell of faulty GPUs while they are true. Source: NVIDIA's NVSentinel,
docs/INTEGRATIONS.md, "Standard Condition Types"."""
SICK_TAINT = re.compile(r"nvidia\.com/.*-error|(gpu|nvlink|nvswitch)\.health/.*")
"""Keys of the taints that the same page proposes for such nodes."""
MOST_CHARACTERS = 160
"""Of a condition's message."""

Trouble = Literal["state", "avoided", "taint", "room", "architecture", "image", "sick"]


@dataclass(frozen=True)
class Finding:
    """One reason why a Ray pod cannot run on a node, with its key of the stack file. Other nodes may share it.

    The scheduler sees all kinds except `image` and `sick`: such a pod would be started, and fail.
    """

    kind: Trouble
    key: str
    text: str


@dataclass(frozen=True)
class PodRequirements:
    """What a Ray pod asks of its node."""

    requests: Amounts
    tolerations: Iterable[Mapping[str, object]] = ()
    avoided: Collection[str] = ()
    """Names of nodes that the stack file excludes."""

    built: bool = True
    """Whether the serving image is built from the lock. What a finished image contains is not known."""

    keys: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of the stack file, by requested resource, where they are not those of `KEYS`."""

    def tolerates(self, taint: client.V1Taint) -> bool:
        """Return whether it may run on a node with this taint."""
        return any(_tolerates(toleration, taint) for toleration in self.tolerations)


@dataclass(frozen=True)
class Node:
    """One node as the API server tells it."""

    node: client.V1Node
    requested: Mapping[str, Amounts] = field(default_factory=dict[str, Amounts])
    """What pods that are not the stack's own request there, by namespace."""
    promised: Mapping[str, Amounts] = field(default_factory=dict[str, Amounts])
    """What pods request that wait for a node and will get this one first, by namespace."""

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.node.metadata and self.node.metadata.name)

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return (self.node.metadata and self.node.metadata.labels) or {}

    @property
    def product(self) -> str:
        """Its GPUs' product, empty where it has no such label."""
        return self.labels.get(GPU_LABEL, "")

    @property
    def allocatable(self) -> dict[str, Decimal]:
        """What its pods may request in all."""
        found: dict[str, str] = (self.node.status and self.node.status.allocatable) or {}
        return {name: parse_quantity(amount) for name, amount in found.items()}

    def state(self) -> str:
        """Return why it takes no pods at all; empty where it does."""
        conditions = (self.node.status and self.node.status.conditions) or []
        if not any(condition.type == "Ready" and condition.status == "True" for condition in conditions):
            return "not ready"
        return "cordoned" if self.node.spec and self.node.spec.unschedulable else ""

    def findings(self, wanted: PodRequirements) -> Iterator[Finding]:
        """Return everything that keeps a Ray pod from running there."""
        if state := self.state():
            yield Finding("state", "hardware", f"is {state}")
        if self.name in wanted.avoided:
            yield Finding("avoided", "scheduling.avoidNodes", "is to be avoided")
        else:
            yield from self._sick(wanted)
        yield from self._taints(wanted)
        yield from self._room(wanted)
        if wanted.built:
            yield from self._of_the_image(gpus=GPU in wanted.requests)

    def _taints(self, wanted: PodRequirements) -> Iterator[Finding]:
        for taint in (self.node.spec and self.node.spec.taints) or []:
            if taint.effect == "PreferNoSchedule" or taint.key in (*OF_THE_STATE, TOLERATED):
                continue
            if not wanted.tolerates(taint):
                spelled = f"{taint.key}{f'={taint.value}' if taint.value else ''}:{taint.effect}"
                yield Finding("taint", "scheduling.tolerations", f"has the taint {spelled}, which is not tolerated")

    def _sick(self, wanted: PodRequirements) -> Iterator[Finding]:
        """Return what the cluster's own watch over GPUs says of them, where it keeps no Ray pod away."""
        for condition in (self.node.status and self.node.status.conditions) or []:
            if condition.status == "True" and condition.type.startswith(OF_SICK_GPUS):
                said = f": {condition.message[:MOST_CHARACTERS]}" if condition.message else ""
                yield Finding("sick", "scheduling.avoidNodes", f"has the condition {condition.type}{said}")
        for taint in (self.node.spec and self.node.spec.taints) or []:
            if SICK_TAINT.fullmatch(taint.key) and wanted.tolerates(taint):
                text = f"has the taint {taint.key}, which tells of sick GPUs and is tolerated"
                yield Finding("sick", "scheduling.avoidNodes", text)

    def _room(self, wanted: PodRequirements) -> Iterator[Finding]:
        has = self.allocatable
        for name, amount in wanted.requests.items():
            taken = [
                (who.format(space), used[name])
                for who, of in (("namespace '{}'", self.requested), ("waiting pods of namespace '{}'", self.promised))
                for space, used in sorted(of.items())
                if used.get(name)
            ]
            left = has.get(name, Decimal()) - sum(used for _, used in taken)
            if amount > left:
                by = ", ".join(f"{_amount(name, used)} by {who}" for who, used in taken)
                text = f"has {_amount(name, has.get(name, Decimal()))} {name}" + (f", of which {by}" if by else "")
                key = KEYS.get(name) or wanted.keys.get(name, "network.rdmaResources")
                yield Finding("room", key, f"{text}; a Ray pod asks for {_amount(name, amount)}")

    def _of_the_image(self, *, gpus: bool) -> Iterator[Finding]:
        architecture = self.labels.get(ARCHITECTURE, LOCK_ARCHITECTURE)
        if architecture != LOCK_ARCHITECTURE:
            text = f"is {architecture} ({ARCHITECTURE}), and the images are built for {LOCK_ARCHITECTURE}"
            yield Finding("architecture", "image.reference", text)
        if not gpus:
            return
        label = next((name for name in DRIVER_LABELS if name in self.labels), "")
        driver = self.labels.get(label, "")
        if re.fullmatch(r"\d+", driver) and int(driver) < LEAST_DRIVER:
            text = f"has the NVIDIA driver {driver} ({label}), and the image's CUDA 13 needs {LEAST_DRIVER} or newer"
            yield Finding("image", "hardware.gpu", text)
        disk = self.allocatable.get(DISK)
        if disk is not None and disk < IMAGE_BYTES:
            text = f"has {_amount(DISK, disk)} {DISK}, and the serving image takes some {gib_text(IMAGE_BYTES)}"
            yield Finding("image", "hardware", text)


def added_up(pods: Iterable[client.V1Pod]) -> dict[str, Amounts]:
    """Return the requests of pods, added up by namespace."""
    found: dict[str, Counter[str]] = {}
    for pod in pods:
        namespace = str(pod.metadata and pod.metadata.namespace)
        found.setdefault(namespace, Counter()).update(requests_of(pod))  # pyright: ignore[reportArgumentType]
    return {namespace: dict(amounts) for namespace, amounts in found.items()}  # pyright: ignore[reportReturnType]


def requests_of(pod: client.V1Pod) -> dict[str, Decimal]:
    """Return what the scheduler counts: all that runs at once, or while the pod starts if that is more.

    Source: kubernetes.io, "Sidecar Containers", "Resource sharing within containers".
    """
    if pod.spec is None:
        return {}
    total, most = Counter[str](), Counter[str]()
    for container in pod.spec.init_containers or []:
        asked = _requests_of(container)
        if container.restart_policy == "Always":
            total.update(asked)
            most |= total
        else:
            most |= total + asked
    for container in pod.spec.containers or []:
        total.update(_requests_of(container))
    return dict((most | total) + _amounts(pod.spec.overhead))  # pyright: ignore[reportReturnType]


def _requests_of(container: client.V1Container) -> Counter[str]:
    return _amounts(container.resources and container.resources.requests)


def _amounts(written: Mapping[str, str] | None) -> Counter[str]:
    amounts = {name: parse_quantity(amount) for name, amount in (written or {}).items()}
    return Counter(amounts)  # pyright: ignore[reportArgumentType]


def _tolerates(toleration: Mapping[str, object], taint: client.V1Taint) -> bool:
    key, effect = toleration.get("key"), toleration.get("effect")
    if (effect and effect != taint.effect) or (key and key != taint.key):
        return False
    exists = toleration.get("operator", "Equal") == "Exists"
    return exists or (key == taint.key and (toleration.get("value") or "") == (taint.value or ""))


def _amount(name: str, amount: Decimal) -> str:
    return gib_text(float(amount)) if name in BYTES else f"{amount.normalize():f}"
