"""Surge: engine 0 is made anew beside its predecessor, on idle nodes, and answers before that ends.

It has two places, which differ in how the names of its objects end. The program names one of them; what is at the
other one ends with the `up`, when the new one has answered, and is as it was after an `up` that failed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from kubernetes import client

from components.rollout.order import serving_clusters
from components.shared.cluster_api import TIMEOUT_SECONDS, UnreachableError, connected, read
from components.shared.engine_names import ENGINE_CONTENT, PLACES, Place
from components.stack_config import StackConfig


def place_of_first(config: StackConfig, cluster_name: str, content: str) -> Place:
    """Return where engine 0 is made of this content: where it is already, else beside its predecessor.

    It takes the predecessor's place where that does not serve, so that nothing is lost, and where both are taken: an
    `up` that failed or was interrupted has left the older one, which serves until the new one has answered. Without a
    reachable cluster, which a preview may lack, it is the first place.
    """
    try:
        with connected(config.kubeconfig, config.context) as api:
            there = _there(api, config.namespace, cluster_name)
    except UnreachableError:
        there = []
    return Place(ending=place_among(there, content), content=content)


@dataclass(frozen=True)
class There:
    """A RayCluster of engine 0."""

    ending: str
    content: str
    """Its annotation ENGINE_CONTENT; nothing where an `up` without surge has made it."""

    serves: bool


def place_among(there: Sequence[There], content: str) -> str:
    """Return how names end at the place for this content; `there` begins with the RayCluster that was made last."""
    same = [found for found in there if found.content in ("", content)]
    idle = [found for found in there if not found.serves]
    if there and not same and not idle and len(there) == 1:
        [other] = (ending for ending in PLACES if ending != there[0].ending)
        return other
    return [*same, *idle, *there, There(PLACES[0], "", serves=False)][0].ending


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
