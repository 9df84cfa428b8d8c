"""How each fault of a serving stack is made, and the bounds that docs/failures.md states for it.

The bounds are sums of the programs' own: `following` polls a job every 2 s and takes 3 s for its last lines; a lost
node or head is given 60 s, and nodes are looked at every 15 s; a token is waited for 180 s, asked for every 15 s with
30 s of patience for an answer and as much for the count of tokens (`engine_watch`); a vLLM whose engine has ended is
given 30 s to end too (`following`). The kubelet runs the readiness
probe every 10 s; it ends within 9 s, and forgives 60 s of silence (`readiness`). A pod has 30 s to end.
"""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.serving import live


@dataclass(frozen=True)
class Fault:
    """One fault; times in seconds."""

    name: str
    make: Callable[[], float]
    """Makes it, and returns when (seconds since the epoch)."""

    kind: str = "exit"
    """As which failure the supervisor counts it (failure_history.Failed)."""

    detected_within: float = 30
    """From the fault to the supervisor's first word about it."""

    unready_within: float = 20
    """From the first unanswered question to an endpoint that is gone."""

    alerts: frozenset[str] = frozenset({"ModelNotServed"})
    """What fires for it (docs/monitoring.md), beside the alert that counts ends of vLLM."""

    def __str__(self) -> str:
        return self.name


def _kill(process: str, pod: str = live.HEAD) -> Callable[[], float]:
    return partial(live.send_signal, pod, process, signal.SIGKILL)


def _freeze(process: str, pod: str) -> Callable[[], float]:
    return partial(live.send_signal, pod, process, signal.SIGSTOP)


def _delete(label: str) -> Callable[[], float]:
    def delete() -> float:
        path, now = f"{live.CORE}/pods/{live.pod_name(label)}", time.time()
        live.API.delete(path)
        return now

    return delete


def _stop_job() -> float:
    ray, now = live.ray(), time.time()
    [job] = [job for job in ray.jobs() if job.running]
    ray.stop(job.submission_id)
    return now


ENDED = (
    Fault("engine killed", _kill(live.ENGINE)),
    Fault("rank killed", _kill(live.RANK, live.WORKER)),
    Fault("API server killed", _kill(live.API_SERVER)),
    Fault("Ray job stopped", _stop_job, kind="stopped"),
)
"""The Ray job ends, and its status says so."""

LOST_PODS = (
    Fault("worker pod lost", _delete(live.WORKER), detected_within=120),
    Fault("head pod lost", _delete(live.HEAD), kind="lost", detected_within=120),
)
HANG = frozenset({"ModelEngineHangs", "ModelNotServed"})
FROZEN = tuple(
    Fault(f"{name} frozen", _freeze(process, pod), kind="hung", detected_within=260, unready_within=80, alerts=HANG)
    for name, process, pod in (("rank", live.RANK, live.WORKER), ("engine", live.ENGINE, live.HEAD))
)
COPY_LOST = (
    Fault("engine of a copy killed", _kill(live.COPY, live.WORKER)),
    Fault("engines of copies raise", _kill(live.RANK, live.WORKER), detected_within=60, unready_within=80),
)
"""With data parallelism. Without its rank the engine of a copy raises, and so does the other one."""

SUPERVISOR_LOST = Fault("supervisor pod lost", _delete(live.SUPERVISOR))
