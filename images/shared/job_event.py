"""An Event on a Job, as programs in pods make it: `kubectl describe job` and a running `pulumi up` show it.

Pulumi shows Events of type Warning only, so whatever an `up` must tell has that type.
"""

import time
from dataclasses import dataclass
from typing import Any

MESSAGE_CHARACTERS = 1000


@dataclass(frozen=True, kw_only=True)
class JobEvent:
    """What happened to which Job; `component` is the program that says so."""

    job: str
    job_uid: str
    namespace: str
    reason: str
    message: str
    component: str
    is_warning: bool = True

    def manifest(self, name: str = "") -> dict[str, Any]:
        """Return the object to create; without a name the API server makes one up from the Job's."""
        now = timestamp()
        named = {"name": name} if name else {"generateName": f"{self.job}-"}
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {**named, "namespace": self.namespace},
            "involvedObject": {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "namespace": self.namespace,
                "name": self.job,
                "uid": self.job_uid,
            },
            "type": "Warning" if self.is_warning else "Normal",
            "reason": self.reason,
            "source": {"component": self.component},
            "firstTimestamp": now,
            "count": 1,
            **self.change(now),
        }

    def change(self, now: str = "") -> dict[str, str]:
        """Return what a later occurrence changes of it, as a merge patch."""
        return {"message": self.message[:MESSAGE_CHARACTERS], "lastTimestamp": now or timestamp()}


def timestamp() -> str:
    """Return the time as Kubernetes writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
