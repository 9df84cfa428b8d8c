"""What the API server says about what serves: RayCluster, serving Job, their pods and warnings, the supervisor's log.

Objects are as the API server gives them. What cannot be read is remembered as text, so that a missing permission or a
short outage never hides the rest.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import in_cluster
import kube_objects
import supervisor_log
from kube_objects import KubeObject

HTTP_NOT_FOUND = 404
HTTP_BAD_REQUEST = 400
LOG_LINES = 2000


@dataclass(frozen=True)
class State:
    """One look. `cluster` and `job` are None when they do not exist or, by `unreadable`, could not be read.

    `since` is when the wait began, in the API server's form. What was seen before may be past by now.
    """

    cluster: KubeObject | None = None
    job: KubeObject | None = None
    ray_pods: Sequence[KubeObject] = ()
    supervisor_pod: KubeObject | None = None
    warnings: Sequence[KubeObject] = ()
    story: Sequence[supervisor_log.Event] = ()
    unreadable: Sequence[str] = ()
    since: str = ""

    @property
    def pods(self) -> Sequence[KubeObject]:
        """All pods of what serves."""
        return (*self.ray_pods, self.supervisor_pod) if self.supervisor_pod else self.ray_pods


def part(item: KubeObject | None, *path: str) -> KubeObject:
    """Return the object at a path in an object, an empty one where it is not set."""
    for key in path:
        item = (item or {}).get(key)
    return item or {}


def parts(item: KubeObject | None, *path: str) -> list[KubeObject]:
    """Return the list of objects at a path in an object, an empty one where it is not set."""
    found: list[KubeObject] | None = part(item, *path[:-1]).get(path[-1])
    return found or []


@dataclass
class Reader:
    """Looks at one RayCluster and one serving Job of a namespace."""

    namespace: str
    ray_cluster: str
    serving_job: str
    _unreadable: list[str] = field(default_factory=list[str])

    def look(self, waited_seconds: int) -> State:
        """Read everything; of the supervisor's log what it wrote in the last `waited_seconds`."""
        self._unreadable = []
        cluster = self._get(f"/apis/ray.io/v1/namespaces/{self.namespace}/rayclusters/{self.ray_cluster}")
        job = self._get(f"/apis/batch/v1/namespaces/{self.namespace}/jobs/{self.serving_job}")
        ray_pods = self._pods(f"ray.io/cluster={self.ray_cluster}")
        supervisors = sorted(self._pods(f"job-name={self.serving_job}"), key=_created)
        known = [item for item in (cluster, job, *ray_pods, *supervisors) if item]
        return State(
            cluster=cluster,
            job=job,
            ray_pods=ray_pods,
            supervisor_pod=supervisors[-1] if supervisors else None,
            warnings=self._warnings({str(item["metadata"]["uid"]) for item in known}),
            story=list(self._story(supervisors[-1], waited_seconds)) if supervisors else (),
            unreadable=self._unreadable,
            since=f"{datetime.now(UTC) - timedelta(seconds=waited_seconds):%Y-%m-%dT%H:%M:%SZ}",
        )

    def _get(self, path: str) -> KubeObject | None:
        try:
            return kube_objects.read(path)
        except in_cluster.ApiError as error:
            self._unreadable.append(str(error))
            return None

    def _list(self, path: str) -> list[KubeObject]:
        try:
            return kube_objects.read_list(path)
        except in_cluster.ApiError as error:
            self._unreadable.append(str(error))
            return []

    def _pods(self, label: str) -> list[KubeObject]:
        return self._list(f"/api/v1/namespaces/{self.namespace}/pods?labelSelector={label}")

    def _warnings(self, uids: set[str]) -> list[KubeObject]:
        """Return the last warning of each reason about the objects with these uids, oldest first."""
        path = f"/api/v1/namespaces/{self.namespace}/events?fieldSelector=type=Warning&limit=1000"
        ours = [event for event in self._list(path) if event["involvedObject"].get("uid") in uids]
        return kube_objects.last_of_each_reason(ours, "uid")

    def _story(self, pod: KubeObject, log_seconds: int) -> Iterable[supervisor_log.Event]:
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod['metadata']['name']}/log"
        query = f"tailLines={LOG_LINES}&sinceSeconds={max(log_seconds, 1)}"
        try:
            return supervisor_log.events(in_cluster.request_text(f"{path}?{query}"))
        except in_cluster.ApiError as error:
            if error.status not in (HTTP_BAD_REQUEST, HTTP_NOT_FOUND):  # its container has not started, or is gone
                self._unreadable.append(str(error))
            return ()


def _created(pod: KubeObject) -> str:
    return str(pod["metadata"].get("creationTimestamp", ""))
