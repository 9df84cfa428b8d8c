"""Watches what comes and goes in a stack's namespace while something happens: Jobs, RayClusters and pods."""

import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from local.cluster.api_server import ApiServer
from tests.cluster.world.stack_objects import NAMESPACE

KINDS = {
    "jobs": f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs",
    "pods": f"/api/v1/namespaces/{NAMESPACE}/pods",
    "rayclusters": f"/apis/ray.io/v1/namespaces/{NAMESPACE}/rayclusters",
}


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Return when the condition holds; fail after so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:.0f} s"
        time.sleep(0.2)


@dataclass(frozen=True, order=True)
class Moment:
    """An object was made (ADDED), a Job was complete (COMPLETE), an end was asked for (ENDING), or done (DELETED).

    `version` is the API server's, which counts the changes of all objects, so that moments of several kinds compare.
    """

    version: int
    event: str
    kind: str
    name: str
    uid: str
    labels: Mapping[str, str] = field(compare=False)


class Watch:
    """The moments of one watch, in their order once it has ended."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api
        self.moments: list[Moment] = []
        self._alive: dict[str, set[str]] = {}
        for kind, path in KINDS.items():
            listed = api.request("GET", path)
            self._alive[kind] = {item["metadata"]["uid"] for item in listed["items"]}
            complete = {item["metadata"]["uid"] for item in listed["items"] if is_complete(item)}
            version = listed["metadata"]["resourceVersion"]
            threading.Thread(target=self._follow, args=(kind, path, version, complete), daemon=True).start()

    def _follow(self, kind: str, path: str, version: str, complete: set[str]) -> None:
        seen = {(uid, "COMPLETE") for uid in complete}
        for event, item in self._api.watch(path, version):
            metadata = item["metadata"]
            uid = metadata["uid"]
            told = _modified(item) if event == "MODIFIED" else event
            if not told or (uid, told) in seen:
                continue
            seen.add((uid, told))
            at, labels = int(metadata["resourceVersion"]), metadata.get("labels", {})
            self.moments.append(Moment(at, told, kind, metadata["name"], uid, labels))
            (self._alive[kind].discard if event == "DELETED" else self._alive[kind].add)(uid)

    def catch_up(self) -> None:
        """Return when everything has been seen that is so by now."""
        wait_until(lambda: all(self._alive[kind] == self._listed(kind) for kind in KINDS))
        self.moments.sort()

    def _listed(self, kind: str) -> set[str]:
        items: list[dict[str, Any]] = self._api.request("GET", KINDS[kind])["items"]
        return {item["metadata"]["uid"] for item in items}


def is_complete(item: Mapping[str, Any]) -> bool:
    """Whether an object is a Job that has ended well."""
    return "completionTime" in item.get("status", {})


def _modified(item: Mapping[str, Any]) -> str:
    """Return what a changed object tells; nothing where no moment is meant."""
    if "deletionTimestamp" in item["metadata"]:
        return "ENDING"
    return "COMPLETE" if is_complete(item) else ""


@contextmanager
def watched(api: ApiServer) -> Generator[list[Moment]]:
    """Collect the moments of what happens within this context; complete and in order after it."""
    watch = Watch(api)
    yield watch.moments
    watch.catch_up()
