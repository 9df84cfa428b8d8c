"""The bound of this pod's own Job, which Kubernetes keeps: moved while the time does not count."""

import in_cluster

STEP_SECONDS = 60.0
"""How much time passes between two changes."""

AHEAD_SECONDS = 600
"""How much further it is moved than needed by then, so that a change may fail a few times."""


class OwnDeadline:
    """`activeDeadlineSeconds` of one Job of this namespace, none where `job_name` is empty."""

    def __init__(self, job_name: str) -> None:
        self._job_name = job_name
        self._stated = 0
        self._moved_by = 0.0

    def move(self, seconds: float) -> str:
        """See to it that the bound is later by so many seconds than first stated; return why it may not be."""
        if not self._job_name or seconds < self._moved_by + STEP_SECONDS:
            return ""
        try:
            path = f"/apis/batch/v1/namespaces/{in_cluster.namespace()}/jobs/{self._job_name}"
            if not self._stated:
                self._stated = int(in_cluster.request("GET", path)["spec"]["activeDeadlineSeconds"])
            bound = {"spec": {"activeDeadlineSeconds": self._stated + int(seconds) + AHEAD_SECONDS}}
            in_cluster.request("PATCH", path, bound, content_type="application/merge-patch+json")
        except (in_cluster.ApiError, KeyError) as error:
            return f"the bound of Job {self._job_name} could not be moved: {error}"
        self._moved_by = seconds
        return ""
