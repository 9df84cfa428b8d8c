"""Whether what serves is suspended, such as by a queue, and the time that counts: the one in which it is not."""

import time
from collections.abc import Iterable

from cluster_state import KubeObject, State, part, parts

QUEUE = "kueue.x-k8s.io/queue-name"
SUSPENDED = ("Suspended", "RayClusterSuspended", "RayClusterSuspending")
OURS = "pulumi"
"""How the names of field managers begin that Pulumi uses. A webhook's changes count as the creator's."""

MOST_NAMES = 4


def suspended_by(state: State) -> str:
    """Return what is suspended, and by whom; empty when nothing is."""
    for kind, item in (("RayCluster", state.cluster), ("Job", state.job)):
        if item and _is_suspended(item):
            return f"suspended by {_suspender(item)}: {kind} {item['metadata']['name']}"
    supervisors = [state.supervisor_pod] if state.supervisor_pod else []
    held = {pod["metadata"]["name"]: list(_gates(pod)) for pod in (*state.ray_pods, *supervisors)}
    pods = [name for name, gates in held.items() if gates]
    if not pods:
        return ""
    gates = ", ".join(sorted({gate for gates in held.values() for gate in gates}))
    more = f" and {len(pods) - MOST_NAMES} more" if len(pods) > MOST_NAMES else ""
    return f"suspended by the scheduling gate {gates}: pods {', '.join(pods[:MOST_NAMES])}{more}"


def _is_suspended(item: KubeObject) -> bool:
    told = any(
        condition["type"] in SUSPENDED and condition["status"] == "True"
        for condition in parts(item, "status", "conditions")
    )
    return bool(part(item, "spec").get("suspend")) or told


def _suspender(item: KubeObject) -> str:
    """Return who suspended an object: its queue's owner, else whoever wrote `spec.suspend` last."""
    if queue := part(item, "metadata", "labels").get(QUEUE):
        return f"Kueue (queue {queue})"
    writers = [
        str(entry.get("manager"))
        for entry in parts(item, "metadata", "managedFields")
        if "f:suspend" in part(entry, "fieldsV1", "f:spec")
    ]
    others = [writer for writer in writers if not writer.startswith(OURS)]
    return others[-1] if others else "an admission webhook or controller that set spec.suspend"


def _gates(pod: KubeObject) -> Iterable[str]:
    return (str(gate["name"]) for gate in parts(pod, "spec", "schedulingGates"))


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
