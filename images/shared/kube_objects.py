"""Kubernetes objects as the API server gives them: one that may not exist, lists, and the Events about them."""

from collections.abc import Iterable
from typing import Any, TypeAlias

import in_cluster

KubeObject: TypeAlias = dict[str, Any]

NOT_FOUND = 404


def read(path: str) -> KubeObject | None:
    """Return the object at a path, None where there is none. Raises in_cluster.ApiError if it cannot be read."""
    try:
        return in_cluster.request("GET", path)
    except in_cluster.ApiError as error:
        if error.status != NOT_FOUND:
            raise
        return None


def read_list(path: str) -> list[KubeObject]:
    """Return the objects of the list at a path. Raises in_cluster.ApiError if it cannot be read."""
    found: list[KubeObject] | None = (read(path) or {}).get("items")
    return found or []


def last_of_each_reason(events: Iterable[KubeObject], field: str) -> list[KubeObject]:
    """Return the last of the Events that have the same reason and the same `field` of their object, oldest first."""
    last = {(event["involvedObject"].get(field), event.get("reason")): event for event in sorted(events, key=last_seen)}
    return sorted(last.values(), key=last_seen)


def last_seen(event: KubeObject) -> str:
    """Return when an Event was seen last, in the API server's form, which sorts by time."""
    return str(event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp") or "")
