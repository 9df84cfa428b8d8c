"""Whether pods wait in a queue or are parked, and who keeps them so; and a stopwatch that leaves that time out.

Objects are as the API server gives them. Nothing else of `images/` is imported: the Pulumi program uses it too.
"""

import time
from collections.abc import Iterable, Iterator
from typing import Any

KubeObject = dict[str, Any]

QUEUE = "kueue.x-k8s.io/queue-name"
SUSPENDED = ("Suspended", "RayClusterSuspended", "RayClusterSuspending")
OURS = "pulumi"
"""How the names of field managers begin that Pulumi uses. A webhook's changes count as the creator's."""

KUEUE = "kueue"
"""How the names of field managers begin by which Kueue writes."""

MOST_NAMES = 4


def suspended_by(owners: Iterable[tuple[str, KubeObject | None]], pods: Iterable[KubeObject]) -> str:
    """Return what is suspended, and by whom; empty when nothing is. `owners` have pods, such as Jobs, by their kind."""
    for kind, item in owners:
        if item and is_suspended(item):
            return f"suspended by {_suspender(item)}: {kind} {item['metadata']['name']}"
    gated = {str(pod["metadata"]["name"]): gates for pod in pods if (gates := list(gates_of(pod)))}
    if not gated:
        return ""
    names, gates = list(gated), ", ".join(sorted({gate for gates in gated.values() for gate in gates}))
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"suspended by the scheduling gate {gates}: pods {', '.join(names[:MOST_NAMES])}{more}"


def is_suspended(item: KubeObject) -> bool:
    """Whether `spec.suspend` of a Job or RayCluster is set, or a condition says that it is suspended."""
    told = any(
        condition["type"] in SUSPENDED and condition["status"] == "True"
        for condition in _parts(item, "status", "conditions")
    )
    return bool(_part(item, "spec").get("suspend")) or told


def is_parked(item: KubeObject) -> bool:
    """Whether `spec.suspend` was set on purpose, and by no queue: by a person, or by Pulumi where one had before.

    What an admission webhook sets in a new object, as Kueue's does, is not in what its creator has applied.
    """
    queued = QUEUE in _part(item, "metadata", "labels")
    return bool(_part(item, "spec").get("suspend")) and not queued and any(map(_is_on_purpose, _writers(item)))


def gates_of(pod: KubeObject) -> Iterator[str]:
    """Return the names of the gates that keep a pod from being scheduled."""
    return (str(gate["name"]) for gate in _parts(pod, "spec", "schedulingGates"))


def _suspender(item: KubeObject) -> str:
    """Return who suspended an object: its queue's owner, else whoever wrote `spec.suspend` last."""
    if queue := _part(item, "metadata", "labels").get(QUEUE):
        return f"Kueue (queue {queue})"
    writers = [str(entry.get("manager")) for entry in _writers(item)]
    others = [writer for writer in writers if not writer.startswith(OURS)]
    return others[-1] if others else "an admission webhook or controller that set spec.suspend"


def _is_on_purpose(entry: KubeObject) -> bool:
    manager = str(entry.get("manager"))
    return not manager.startswith(KUEUE) and (not manager.startswith(OURS) or entry.get("operation") == "Apply")


def _writers(item: KubeObject) -> list[KubeObject]:
    """Return the entries of the managed fields of those who have set `spec.suspend`."""
    entries = _parts(item, "metadata", "managedFields")
    return [entry for entry in entries if "f:suspend" in _part(entry, "fieldsV1", "f:spec")]


def _part(item: KubeObject, *path: str) -> KubeObject:
    for key in path:
        item = item.get(key) or {}
    return item


def _parts(item: KubeObject, *path: str) -> list[KubeObject]:
    found: list[KubeObject] | None = _part(item, *path[:-1]).get(path[-1])
    return found or []


class Stopwatch:
    """Counts the seconds since it was made, without those in which it was stopped."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._stopped_at: float | None = None
        self._stopped_for = 0.0

    def stop(self, *, stopped: bool) -> None:
        """Stop or go on; to say the same again changes nothing."""
        now = time.monotonic()
        if stopped and self._stopped_at is None:
            self._stopped_at = now
        elif not stopped and self._stopped_at is not None:
            self._stopped_for += now - self._stopped_at
            self._stopped_at = None

    @property
    def total(self) -> float:
        """All seconds."""
        return time.monotonic() - self._began

    @property
    def stopped(self) -> float:
        """The seconds that do not count."""
        return self._stopped_for + (time.monotonic() - self._stopped_at if self._stopped_at is not None else 0.0)

    @property
    def counted(self) -> float:
        """The seconds that count."""
        return self.total - self.stopped
