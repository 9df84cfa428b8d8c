"""Events on the serving Job and the gate's: what `kubectl describe job` and `kubectl get events` tell of them."""

import time
from typing import Any

import in_cluster
from supervisor_log import say

MESSAGE_CHARACTERS = 1000
TIMEOUT_SECONDS = 5.0
FAILED = "ServingFailed"
SERVING = "Serving"
KV_CACHE_DIFFERS = "KvCacheDiffers"
SUSPENDED = "Suspended"
WARNINGS = (FAILED, KV_CACHE_DIFFERS, SUSPENDED)
"""Pulumi shows events of type Warning only."""


def tell(job_name: str, reason: str, message: str) -> None:
    """Put an Event on a Job of this namespace, none where `job_name` is empty; serving does not fail for want of it."""
    if not job_name:
        return
    try:
        namespace = in_cluster.namespace()
        job = in_cluster.request(
            "GET", f"/apis/batch/v1/namespaces/{namespace}/jobs/{job_name}", timeout=TIMEOUT_SECONDS
        )
        event = event_on(job, reason, message)
        in_cluster.request("POST", f"/api/v1/namespaces/{namespace}/events", event, timeout=TIMEOUT_SECONDS)
    except in_cluster.ApiError as error:
        say("event_lost", reason=str(error))


def event_on(job: dict[str, Any], reason: str, message: str) -> dict[str, Any]:
    """Return the Event, as it is made."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    metadata = job["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{metadata['name']}-", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
        "type": "Warning" if reason in WARNINGS else "Normal",
        "reason": reason,
        "message": message[:MESSAGE_CHARACTERS],
        "source": {"component": "gate" if reason == SUSPENDED else "supervisor"},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
