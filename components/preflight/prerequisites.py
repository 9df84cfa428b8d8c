"""What the cluster must have before anything is created: namespace, KubeRay, StorageClass, claim, Secrets.

They belong to the cluster, not to a stack: deleting one stack's KubeRay would delete everybody's Ray clusters. All that
is missing is told together, each with the command that brings it. A preview without a reachable cluster only warns.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# The Kubernetes client's errors have no types.

from collections.abc import Iterator

from kubernetes import client
from kubernetes.client.exceptions import ApiException

from components.preflight.build_prerequisites import of_images
from components.preflight.certificate import of_endpoint
from components.preflight.gateway import of_gateway
from components.preflight.ingress_class import of_ingress
from components.preflight.monitoring_prerequisites import of_monitoring
from components.preflight.namespace_user import outside_the_range
from components.preflight.network_prerequisites import of_network
from components.preflight.storage_classes import of_storage
from components.shared.cluster_api import ABSENT, NOT_FOUND, TIMEOUT_SECONDS, read
from planning.problems import Problem
from planning.settings.sections import StackSettings

KUBERAY = "1.6.1"
INSTALL_KUBERAY = (
    "helm install kuberay-operator kuberay-operator --repo https://ray-project.github.io/kuberay-helm "
    f"--version {KUBERAY} --namespace kuberay-system --create-namespace"
)


def missing(api: client.ApiClient, namespace: str, settings: StackSettings) -> Iterator[Problem]:
    """Return what the cluster lacks for a stack."""
    core = client.CoreV1Api(api)
    found = read(lambda: core.read_namespace(namespace, _request_timeout=TIMEOUT_SECONDS))
    if found is ABSENT:
        yield Problem(
            "kubernetes:namespace", f"there is no namespace '{namespace}'", f"kubectl create namespace {namespace}"
        )
    elif isinstance(found, client.V1Namespace) and found.metadata:
        yield from outside_the_range(found.metadata.annotations or {}, settings.scheduling)
    if not _knows_ray_clusters(api):
        yield Problem("cluster", "KubeRay is not installed: the API server knows no RayCluster", INSTALL_KUBERAY)
    yield from of_storage(api, namespace, settings)
    yield from of_images(core, namespace, settings.image)
    yield from of_network(core, namespace, settings)
    yield from of_endpoint(core, namespace, settings.endpoint)
    yield from of_ingress(api, settings.endpoint.ingress_class)
    yield from of_gateway(api, namespace, settings.endpoint)
    yield from of_monitoring(api, settings.monitoring)


def _knows_ray_clusters(api: client.ApiClient) -> bool:
    try:
        known = client.CustomObjectsApi(api).get_api_resources("ray.io", "v1", _request_timeout=TIMEOUT_SECONDS)
    except ApiException as error:
        if error.status != NOT_FOUND:
            raise
        return False
    return any(resource.name == "rayclusters" for resource in known.resources)
