"""Why this pod is being ended: because its Kubernetes Job ends, or only because the pod has to leave its node."""

from typing import Any

import in_cluster

ENDED_CONDITIONS = ("Complete", "SuccessCriteriaMet", "Failed", "FailureTarget")
TIMEOUT_SECONDS = 5.0


def will_start_another_pod(job_name: str) -> bool:
    """Tell whether the Job goes on and will start another pod, so that what runs in Ray can stay.

    It does not when it is deleted, suspended or finished; and when that cannot be found out it is not counted on, as
    GPUs must not stay taken by mistake.
    """
    if not job_name:
        return False
    try:
        path = f"/apis/batch/v1/namespaces/{in_cluster.namespace()}/jobs/{job_name}"
        job = in_cluster.request("GET", path, timeout=TIMEOUT_SECONDS)
    except in_cluster.ApiError:
        return False
    conditions: list[dict[str, Any]] = job.get("status", {}).get("conditions", [])
    ended = any(item["type"] in ENDED_CONDITIONS and item["status"] == "True" for item in conditions)
    return not (ended or job["metadata"].get("deletionTimestamp") or job["spec"].get("suspend"))
