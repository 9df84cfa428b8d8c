"""Surge: engine 0 is made anew beside its predecessor, on idle nodes, and answers before that ends.

It has two places, which differ in how the names of its objects end. The program names one of them. What is at the
other one ends at the end of the `up`, and is as it was after an `up` that failed. Nothing is shared by both, because
Pulumi deletes by name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pulumi
from kubernetes import client

from components.rollout.order import serving_clusters
from components.shared.cluster_api import TIMEOUT_SECONDS, UnreachableError, connected, read
from components.shared.engine_names import ENGINE_CONTENT, PLACES, SURGE, Place
from components.shared.refusal import refuse
from components.stack_config import StackConfig


@dataclass(frozen=True)
class There:
    """A RayCluster of engine 0."""

    ending: str
    content: str
    """Its annotation ENGINE_CONTENT; nothing where an `up` without surge has made it."""

    serves: bool


def places_of_first(config: StackConfig, cluster_name: str) -> Sequence[There]:
    """Return where engine 0 is, the RayCluster that was made last first: two where an `up` has failed or was killed.

    A preview that reaches no cluster finds none, and says what that may mean; an `up` is refused then.
    """
    if not config.settings.endpoint.proxy:
        return ()
    try:
        with connected(config.kubeconfig, config.context) as api:
            return _there(api, config.namespace, cluster_name)
    except UnreachableError as reason:
        if not pulumi.runtime.is_dry_run():
            refuse(f"where the first engine is could not be read: {reason}")
        if config.settings.rollout.surge:
            pulumi.log.warn(
                "rollout.surge: without the cluster this preview takes the first engine for in its first place"
            )
        return ()


def has_second_place(config: StackConfig, there: Sequence[There]) -> bool:
    """Return whether the proxies have to know it: engine 0 stays there when `rollout.surge` is turned off."""
    return bool(config.settings.rollout.surge) or any(found.ending == SURGE for found in there)


def place_now(there: Sequence[There]) -> Place:
    """Return where engine 0 is, for a stack without a surge: it changes where it is."""
    found = sorted(there, key=lambda found: not found.serves)
    return Place(ending=found[0].ending) if found else Place()


def place_for(there: Sequence[There], content: str) -> Place:
    """Return where engine 0 is made of this content: where it is already, else beside its predecessor.

    It takes the predecessor's place where that does not serve, so that nothing is lost; where both are taken, for the
    older one serves until the new one has answered; and where the content was never told, so that nothing is replaced
    for this alone.
    """
    same = sorted((found for found in there if found.content == content), key=lambda found: not found.serves)
    if same:
        return Place(ending=same[0].ending, content=content)
    idle = [found for found in there if not found.serves]
    if len(there) == 1 and not idle and there[0].content:
        [other] = (ending for ending in PLACES if ending != there[0].ending)
        return Place(ending=other, content=content)
    taken = next(iter([*idle, *there]), There(PLACES[0], "", serves=False))
    return Place(ending=taken.ending, content=content, is_guarded=bool(taken.content))


def _there(api: client.ApiClient, namespace: str, cluster_name: str) -> list[There]:
    """Return the RayClusters of engine 0, the last one first."""
    endings = {f"{cluster_name}{ending}": ending for ending in PLACES}
    found = [item for item in _ray_clusters(api, namespace) if item["name"] in endings]
    serving = serving_clusters(api, namespace)
    return [
        There(endings[item["name"]], _annotations(item).get(ENGINE_CONTENT, ""), item["name"] in serving)
        for item in sorted(found, key=_made_at, reverse=True)
    ]


def _ray_clusters(api: client.ApiClient, namespace: str) -> list[Mapping[str, Any]]:
    """Return the metadata of the RayClusters; nothing where their kind is not known yet."""
    listed = client.CustomObjectsApi(api).list_namespaced_custom_object
    found = read(lambda: listed("ray.io", "v1", namespace, "rayclusters", _request_timeout=TIMEOUT_SECONDS))
    return [item["metadata"] for item in cast("Any", found)["items"]] if isinstance(found, dict) else []


def _annotations(metadata: Mapping[str, Any]) -> Mapping[str, str]:
    return cast("Mapping[str, str]", metadata.get("annotations") or {})


def _made_at(metadata: Mapping[str, Any]) -> str:
    return str(metadata["creationTimestamp"])
