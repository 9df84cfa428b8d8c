"""What holds for every change: GPUs are free before they are taken again, weights stay, and nothing else is touched."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from planning.review.preview import DELETED, REPLACED
from tests.cluster.changed.change_table import CLUSTER
from tests.cluster.changed.changed_stack import Changed

CLAIMS = "persistentvolumeclaims"
MADE_BY_CONTROLLERS = {"Job", "RayCluster"}
PLURAL = {"NetworkPolicy": "networkpolicies"}


def overlaps(changed: Changed) -> list[str]:
    """Return where a serving Job or a RayCluster was made beside another one, or while its predecessor's pods ran."""
    alive = {
        item["metadata"]["uid"]: (kind, _serves(kind, name, item["metadata"].get("labels", {})))
        for (kind, name), item in changed.before.items()
    }
    found: list[str] = []
    for moment in changed.moments:
        part = _serves(moment.kind, moment.name, moment.labels)
        if moment.event == "DELETED":
            alive.pop(moment.uid, None)
        elif moment.event == "ADDED" and part:
            if moment.kind != "pods":
                beside = [kind for kind, of_part in alive.values() if of_part == part]
                found += [f"{moment.kind} {moment.name} was made beside {kind} of the {part}" for kind in beside]
            alive[moment.uid] = (moment.kind, part)
    return found


def _serves(kind: str, name: str, labels: Mapping[str, str]) -> str:
    """Return which part of which engine an object belongs to; empty for those that do not serve."""
    if kind == "rayclusters" or (kind == "pods" and "ray.io/cluster" in labels):
        return f"RayCluster {labels.get('ray.io/cluster', name)}"
    job = {"jobs": name, "pods": labels.get("batch.kubernetes.io/job-name", "")}.get(kind, "")
    return f"serving Job {job.rpartition('-')[0]}" if job.startswith("serve-") else ""


def unexplained(changed: Changed) -> dict[str, int]:
    """Return by kind how many objects are gone or new beyond those which the engine replaced or deleted.

    A Deployment that the engine changed replaces its pods; those of any other Deployment have to stay.
    """
    after = {item["metadata"]["uid"] for item in changed.after.values()}
    rolled = {
        name
        for kind, _, name in (resource.partition(" ") for resource in changed.done.operations)
        if kind == "Deployment"
    }
    gone = Counter(
        kind
        for (kind, _), item in changed.before.items()
        if _is_own(item) and _deployment(item) not in rolled and item["metadata"]["uid"] not in after
    )
    told = Counter(
        PLURAL.get(kind := resource.partition(" ")[0], f"{kind.lower()}s")
        for resource, operation in changed.done.operations.items()
        if operation in {REPLACED, DELETED} and not resource.startswith("PersistentVolumeClaim ")
    )
    gone.subtract(told)
    return {kind: count for kind, count in gone.items() if count}


def _is_own(item: Mapping[str, Any]) -> bool:
    """Whether the stack has made an object, and not a controller."""
    return not any(owner["kind"] in MADE_BY_CONTROLLERS for owner in item["metadata"].get("ownerReferences", ()))


def _deployment(item: Mapping[str, Any]) -> str:
    """Return of which Deployment something is a pod; empty if of none. A ReplicaSet has its name and a hash."""
    [owner] = item["metadata"].get("ownerReferences") or [{"kind": "", "name": ""}]
    return owner["name"].rpartition("-")[0] if owner["kind"] == "ReplicaSet" else ""


def lost_claims(changed: Changed) -> set[str]:
    """Return the claims that were there before and are not, or are others."""
    kept = {item["metadata"]["uid"] for (kind, _), item in changed.after.items() if kind == CLAIMS}
    return {
        name for (kind, name), item in changed.before.items() if kind == CLAIMS and item["metadata"]["uid"] not in kept
    }


def without_effect(changed: Changed) -> list[str]:
    """Return what of a replaced RayCluster's specification its pods do not have, or that it is the old one's."""
    if changed.done.operations.get(CLUSTER) != REPLACED:
        return []
    cluster = changed.after["rayclusters", "deepseek"]
    if cluster["spec"] == changed.before["rayclusters", "deepseek"]["spec"]:
        return ["the specification is as before"]
    templates = {"head": cluster["spec"]["headGroupSpec"]["template"]["spec"]}
    for group in cluster["spec"].get("workerGroupSpecs", ()):
        templates["worker"] = group["template"]["spec"]
    return [
        f"{name}: {text}"
        for (kind, name), item in changed.after.items()
        if kind == "pods" and (node := item["metadata"]["labels"].get("ray.io/node-type"))
        for text in _differences(item["spec"], templates[node])
    ]


def _differences(pod: Mapping[str, Any], template: Mapping[str, Any]) -> Iterator[str]:
    for key in ("nodeSelector", "priorityClassName", "hostNetwork", "imagePullSecrets"):
        if template.get(key) and pod.get(key) != template[key]:
            yield key
    for key in ("tolerations", "volumes"):
        yield from _lacking(key, pod.get(key, ()), template.get(key, ()))
    [wanted], [container, *_] = template["containers"], pod["containers"]
    yield from _lacking("container", [container], [{key: wanted[key] for key in ("image", "resources")}])
    for key in ("env", "volumeMounts"):
        yield from _lacking(key, container[key], wanted[key])


def _lacking(what: str, found: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what is wanted and nowhere found; what is found may say more of itself."""
    for item in wanted:
        if not any(_says(other, item) for other in found):
            yield f"{what} {item}"


def _says(found: Any, wanted: Any) -> bool:
    if not isinstance(wanted, dict):
        return str(found) == str(wanted)  # as many GPUs, be it a number or a quantity
    return all(key in found and _says(found[key], value) for key, value in cast("Mapping[str, Any]", wanted).items())
