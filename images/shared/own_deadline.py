"""Moves the bound of this pod's own Job, at which Kubernetes ends it, by the time that does not count."""

import in_cluster

STEP_SECONDS = 60.0
"""How much time passes between two changes."""

AHEAD_SECONDS = 600
"""The bound is set so much later than is needed: the next few changes may fail."""


class OwnDeadline:
    """`activeDeadlineSeconds` of one Job of this namespace, none where `job_name` is empty."""

    def __init__(self, job_name: str) -> None:
        self._job_name = job_name
        self._stated = 0
        self._moved_by = 0.0

    def move(self, seconds: float) -> str:
        """Make the bound at least so many seconds later than it was at first; return why that failed, else nothing."""
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
