"""In which order a stack's engines are replaced: those that do not serve first, for nothing is lost with them."""

from kubernetes import client

from components.shared.cluster_api import TIMEOUT_SECONDS, UnreachableError, connected, read
from components.shared.engine_names import PLACES, numbered
from components.shared.labels import selector
from components.stack_config import StackConfig


def rollout_order(config: StackConfig, cluster_name: str) -> list[int]:
    """Return the numbers of a stack's engines; `cluster_name` is the RayCluster of engine 0.

    Without a reachable cluster, which a preview may lack, they stand as they are numbered.
    """
    engines = range(config.settings.serving.engines)
    if len(engines) < 2:
        return list(engines)
    try:
        with connected(config.kubeconfig, config.context) as api:
            serving = serving_clusters(api, config.namespace)
    except UnreachableError:
        return list(engines)
    return sorted(engines, key=lambda number: not serving.isdisjoint(_names(cluster_name, number)))


def _names(cluster_name: str, number: int) -> set[str]:
    """Return how the RayCluster of an engine may be called."""
    return {numbered(cluster_name, number)} if number else {f"{cluster_name}{place}" for place in PLACES}


def serving_clusters(api: client.ApiClient, namespace: str) -> set[str]:
    """Return the RayClusters whose head is ready: it has answered completions."""
    labels = {**selector("ray"), "ray.io/node-type": "head"}
    text = ",".join(f"{name}={value}" for name, value in labels.items())
    core = client.CoreV1Api(api)
    found = read(lambda: core.list_namespaced_pod(namespace, label_selector=text, _request_timeout=TIMEOUT_SECONDS))
    pods = found.items if isinstance(found, client.V1PodList) else []
    heads = [pod.metadata for pod in pods if _is_ready(pod)]
    return {head.labels["ray.io/cluster"] for head in heads if head and head.labels}


def _is_ready(pod: client.V1Pod) -> bool:
    if pod.metadata and pod.metadata.deletion_timestamp:
        return False
    conditions = (pod.status.conditions if pod.status else None) or []
    return any(condition.type == "Ready" and condition.status == "True" for condition in conditions)
