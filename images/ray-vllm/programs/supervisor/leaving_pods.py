"""Whether a Ray pod of this engine has been told to go: evicted from its node, or deleted.

Such a pod waits until vLLM was drained and stopped (programs/head/leaving.py). It says so by itself to nobody: what the
API server knows is there also for a supervisor that starts meanwhile, on another node.
"""

import time
from typing import Any

import in_cluster

LOOK_SECONDS = 3.0
POLL_SECONDS = 1.0


class Leaving(Exception):
    """Pods of the engine are going; `pods` has their names."""

    def __init__(self, pods: list[str]) -> None:
        super().__init__(", ".join(pods))
        self.pods = pods


class LeavingPods:
    """Looks at the pods of one RayCluster; at nothing where it has no name."""

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster
        self._looked_at = float("-inf")

    def check(self) -> None:
        """Raise `Leaving` where a pod goes; look every three seconds at most."""
        if self._cluster and time.monotonic() - self._looked_at >= LOOK_SECONDS:
            self._looked_at = time.monotonic()
            if pods := self._names():
                raise Leaving(pods)

    def wait_until_gone(self, pods: list[str], seconds: float) -> bool:
        """Return whether these pods have gone, within so many seconds."""
        deadline = time.monotonic() + seconds
        while set(pods) & set(self._names()):
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def _names(self) -> list[str]:
        """Return the pods that go, as far as the API server tells."""
        path = f"/api/v1/namespaces/{in_cluster.namespace()}/pods?labelSelector=ray.io/cluster%3D{self._cluster}"
        try:
            pods: list[dict[str, Any]] = in_cluster.request("GET", path)["items"]
        except in_cluster.ApiError:
            return []
        return sorted(pod["metadata"]["name"] for pod in pods if pod["metadata"].get("deletionTimestamp"))
