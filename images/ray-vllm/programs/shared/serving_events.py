"""Events on the serving Job and the gate's: what `kubectl describe job` and `kubectl get events` tell of them."""

import in_cluster
from job_event import JobEvent
from supervisor_log import say

TIMEOUT_SECONDS = 5.0
FAILED = "ServingFailed"
SERVING = "Serving"
KV_CACHE_DIFFERS = "KvCacheDiffers"
NETWORK = "NetworkMeasured"
NETWORK_PROBLEM = "NetworkProblem"
SUSPENDED = "Suspended"
GPU_ERRORS = "GpuErrors"
LEAVING = "RayPodLeaves"
WARNINGS = (FAILED, KV_CACHE_DIFFERS, NETWORK_PROBLEM, SUSPENDED, GPU_ERRORS)
"""Pulumi shows events of type Warning only."""


def tell(job_name: str, reason: str, message: str, by: str = "supervisor") -> None:
    """Put an Event on a Job of this namespace, none where `job_name` is empty; serving does not fail for want of it."""
    if not job_name:
        return
    try:
        namespace = in_cluster.namespace()
        job = in_cluster.request(
            "GET", f"/apis/batch/v1/namespaces/{namespace}/jobs/{job_name}", timeout=TIMEOUT_SECONDS
        )
        event = JobEvent(
            job=job_name,
            job_uid=job["metadata"]["uid"],
            namespace=namespace,
            reason=reason,
            message=message,
            component=by,
            is_warning=reason in WARNINGS,
        )
        path = f"/api/v1/namespaces/{namespace}/events"
        in_cluster.request("POST", path, event.manifest(), timeout=TIMEOUT_SECONDS)
    except in_cluster.ApiError as error:
        say("event_lost", reason=str(error))
