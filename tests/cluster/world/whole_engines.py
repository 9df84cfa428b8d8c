"""Which engines of a stack are whole: what serves is there, nothing of it is about to end, and its gate has asked."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.cluster.world.watched_objects import Moment, is_complete

CLUSTER = "deepseek"
"""The RayCluster of engine 0; those of the others are numbered (`deepseek-1`), and so are all names of an engine."""

OF_AN_ENGINE = re.compile(r"(?P<what>serve|gate)(?P<number>(-\d+)?)-[0-9a-f]{12}")
"""Jobs of an engine; their names end with a hash of their content (components/shared/jobs.py)."""

SERVING, ASKING = "serving", "asking"
LOST = {"ENDING", "DELETED"}


def whole(objects: Mapping[tuple[str, str], Any]) -> frozenset[str]:
    """Return the RayClusters of the engines that are whole, from the objects of the namespace by kind and name."""
    asked, there, ending = set[str](), dict[str, set[str]](), set[str]()
    for (kind, name), item in objects.items():
        engine, part = _part(kind, name, item["metadata"].get("labels", {}))
        if part == SERVING:
            there.setdefault(engine, set()).add(kind)
            ending |= {engine} if "deletionTimestamp" in item["metadata"] else set()
        elif part == ASKING and is_complete(item):
            asked.add(engine)
    return frozenset(engine for engine in asked - ending if there.get(engine, set()) >= {"rayclusters", "jobs", "pods"})


def whole_at_each_moment(
    before: Mapping[tuple[str, str], Any], moments: Sequence[Moment]
) -> Iterator[tuple[Moment, frozenset[str]]]:
    """Yield which engines were whole after each moment: one that lost something is whole after its gate has ended well.

    `before` are the objects of the namespace when the moments began.
    """
    engines = whole(before)
    for moment in moments:
        engine, part = _part(moment.kind, moment.name, moment.labels)
        if part == SERVING and moment.event in LOST:
            engines -= {engine}
        elif part == ASKING and moment.event == "COMPLETE":
            engines |= {engine}
        yield moment, engines


def _part(kind: str, name: str, labels: Mapping[str, str]) -> tuple[str, str]:
    """Return the RayCluster of the engine that an object belongs to, and whether it serves or asks; else nothing."""
    if kind == "rayclusters":
        return name, SERVING
    if kind == "pods" and "ray.io/cluster" in labels:
        return labels["ray.io/cluster"], SERVING
    job = {"jobs": name, "pods": labels.get("batch.kubernetes.io/job-name", "")}.get(kind, "")
    found = OF_AN_ENGINE.fullmatch(job)
    if not found:
        return "", ""
    part = SERVING if found["what"] == "serve" else ASKING
    return f"{CLUSTER}{found['number']}", part
