"""The Kubernetes Job of this pod: why the pod is being ended, and how long things may take.

The bounds are annotations of the Job, not part of the pod, so that longer ones restart nothing.
"""

from dataclasses import dataclass, replace
from typing import Any

import in_cluster

ENDED_CONDITIONS = ("Complete", "SuccessCriteriaMet", "Failed", "FailureTarget")
TIMEOUT_SECONDS = 5.0
JOIN_TIMEOUT = "deepseek-on-kubernetes/join-timeout-seconds"
LOAD_TIMEOUT = "deepseek-on-kubernetes/load-timeout-seconds"
MINIMUM_BANDWIDTH = "deepseek-on-kubernetes/minimum-bandwidth-gbit"
DRAIN_TIMEOUT = "deepseek-on-kubernetes/drain-timeout-seconds"


@dataclass(frozen=True)
class Bounds:
    """How long things may take, in seconds, and what else the Job asks for."""

    join: float
    """The Ray nodes to join."""

    load: float
    """The model to serve after its submission."""

    hang: float
    """A token."""

    drain: float
    """Answers under way, when vLLM is to be stopped."""

    minimum_gbit: float = 0
    """What nodes must have to each other, in Gbit/s; 0 where nothing is asked."""


def bounds_now(job_name: str, known: Bounds) -> Bounds:
    """Return the bounds that the Job states now; those that it does not, or when it cannot be read, are as `known`."""
    if not job_name:
        return known
    try:
        stated: dict[str, str] = _job(job_name)["metadata"].get("annotations") or {}
        return replace(
            known,
            join=float(stated.get(JOIN_TIMEOUT, known.join)),
            load=float(stated.get(LOAD_TIMEOUT, known.load)),
            drain=float(stated.get(DRAIN_TIMEOUT, known.drain)),
            minimum_gbit=float(stated.get(MINIMUM_BANDWIDTH, 0)),
        )
    except (in_cluster.ApiError, ValueError):
        return known


def is_first_pod(job_name: str) -> bool:
    """Tell whether the Job has had no other pod; no, when that cannot be found out.

    A Job counts a pod that was deleted as failed (Kubernetes, pkg/controller/job/job_controller.go, isPodFailed).
    """
    if not job_name:
        return False
    try:
        return not _job(job_name).get("status", {}).get("failed", 0)
    except in_cluster.ApiError:
        return False


def will_start_another_pod(job_name: str) -> bool:
    """Tell whether the Job goes on and will start another pod, so that what runs in Ray can stay.

    It does not when it is deleted, suspended or finished; and when that cannot be found out it is not counted on, as
    GPUs must not stay taken by mistake.
    """
    if not job_name:
        return False
    try:
        job = _job(job_name)
    except in_cluster.ApiError:
        return False
    conditions: list[dict[str, Any]] = job.get("status", {}).get("conditions", [])
    ended = any(item["type"] in ENDED_CONDITIONS and item["status"] == "True" for item in conditions)
    return not (ended or job["metadata"].get("deletionTimestamp") or job["spec"].get("suspend"))


def _job(name: str) -> dict[str, Any]:
    path = f"/apis/batch/v1/namespaces/{in_cluster.namespace()}/jobs/{name}"
    return in_cluster.request("GET", path, timeout=TIMEOUT_SECONDS)
