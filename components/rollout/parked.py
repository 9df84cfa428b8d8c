"""Which of a stack's engines are parked: somebody has suspended RayCluster and serving Job, which frees the GPUs."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# The Kubernetes client's answers have no types.

from collections.abc import Mapping
from typing import Any, cast

import pulumi
from kubernetes import client

from components.shared.cluster_api import TIMEOUT_SECONDS, UnreachableError, connected, read
from components.shared.engine_names import PLACES, endings, labels_at
from components.shared.labels import CONTENT, selector
from components.shared.parked import Parked
from components.shared.refusal import refuse
from components.stack_config import StackConfig
from images.shared.suspension import QUEUE, KubeObject, is_parked

CLUSTERS, JOBS = "/apis/ray.io/v1/namespaces/{}/rayclusters", "/apis/batch/v1/namespaces/{}/jobs"


def parked_engines(config: StackConfig, cluster_name: str) -> Mapping[str, Parked]:
    """Return the parked engines by how their names end, and tell of them; `cluster_name` is the RayCluster of engine 0.

    Kueue suspends by the same field, so no engine is parked where the stack file names a queue of Kueue.

    A preview that reaches no cluster knows of none. An `up` is refused then, because it could start what is parked.
    """
    pods, engines = config.settings.pods, config.settings.serving.engines
    if not engines or QUEUE in pods.labels | pods.common_labels:
        return {}
    try:
        with connected(config.kubeconfig, config.context) as api:
            clusters = _listed(api, CLUSTERS.format(config.namespace), "ray")
            jobs = _listed(api, JOBS.format(config.namespace), "serving")
    except UnreachableError as reason:
        if not pulumi.runtime.is_dry_run():
            refuse(f"whether an engine is parked could not be read: {reason}")
        return {}
    found = dict[str, Parked]()
    for ending in endings(engines, second_place=True):
        name = f"{cluster_name}{ending}"
        of_engine = [item for item in clusters if item["metadata"]["name"] == name]
        if parked := _parked(of_engine, [job for job in jobs if _is_at(job, ending)]):
            found[ending] = parked
            pulumi.log.info(f"engine {name} is parked, and stays so if it is replaced")
    there = {item["metadata"]["name"].removeprefix(cluster_name) for item in clusters}
    for parked_at, other in (PLACES, reversed(PLACES)):
        if parked_at in found and other not in there:
            # Engine 0 may be made anew in its other place, where nothing of it is yet.
            found[other] = Parked(cluster="", job="")
    return found


def _parked(clusters: list[KubeObject], jobs: list[KubeObject]) -> Parked | None:
    """Return the engine if all is parked that is there of it: an `up` that was killed may have left one of the two."""
    if not (clusters or jobs) or not all(is_parked(item) for item in (*clusters, *jobs)):
        return None
    return Parked(cluster=_content(clusters), job=_content(jobs))


def _content(found: list[KubeObject]) -> str:
    annotations: dict[str, str] = found[0]["metadata"].get("annotations") or {} if found else {}
    return annotations.get(CONTENT, "")


def _is_at(job: KubeObject, ending: str) -> bool:
    labels: dict[str, str] = job["spec"]["template"]["metadata"].get("labels") or {}
    return labels_at(ending).items() <= labels.items()


def _listed(api: client.ApiClient, path: str, component: str) -> list[KubeObject]:
    """Return the stack's objects of a component as the API server gives them; none of a kind that it does not know."""
    ours = ",".join(f"{name}={value}" for name, value in selector(component).items())
    request = api.param_serialize(
        "GET",
        f"{path}?labelSelector={ours}",
        header_params={"Accept": "application/json"},
        auth_settings=["BearerToken"],
    )

    def asked() -> object:
        response = api.call_api(*request, _request_timeout=TIMEOUT_SECONDS)
        response.read()
        return api.response_deserialize(response, {"200": "object"}).data

    found = read(asked)
    return cast("dict[str, Any]", found)["items"] if isinstance(found, dict) else []
