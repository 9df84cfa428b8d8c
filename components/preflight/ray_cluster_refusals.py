"""Whether the API server would take the stack's RayCluster as it is: a dry run that ends at each unknown field.

Without it the API server drops fields that an older CRD does not know. Without `authOptions` the serving Job waits for
Ray's token in vain, hours later, and Ray's dashboard runs whatever it is sent.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# The Kubernetes client's errors have no types.

import re
from collections.abc import Iterator

from kubernetes import client
from kubernetes.client.exceptions import ApiException

from components.preflight.pod_refusals import message_of, ray_arguments, without_environment
from components.preflight.prerequisites import KUBERAY
from components.ray_cluster.ray_cluster import ray_cluster_spec
from components.shared.cluster_api import TIMEOUT_SECONDS
from components.shared.labels import labels
from planning.problems import Problem
from planning.settings.sections import StackSettings

UPGRADE = (
    f'kubectl apply --server-side --force-conflicts -k "https://github.com/ray-project/kuberay/ray-operator/config/crd?'
    f'ref=v{KUBERAY}" (Helm leaves CRDs as they are), then helm upgrade to {KUBERAY}'
)


def ray_cluster_refusals(api: client.ApiClient, namespace: str, settings: StackSettings) -> Iterator[Problem]:
    """Return why the API server would refuse the RayCluster; nothing where this person may not create one."""
    try:
        client.CustomObjectsApi(api).create_namespaced_custom_object(
            "ray.io",
            "v1",
            namespace,
            "rayclusters",
            _ray_cluster(settings),
            dry_run="All",
            field_validation="Strict",
            _request_timeout=TIMEOUT_SECONDS,
        )
    except ApiException as error:
        said = message_of(error)
        if fields := list(dict.fromkeys(re.findall(r'unknown field "([^"]+)"', said))):
            text = f"the installed KubeRay is too old: its RayCluster has no {', '.join(fields)}"
            yield Problem("cluster", text, UPGRADE)
        elif "denied" in said:
            yield Problem("kubernetes:namespace", f"'{namespace}' would refuse the RayCluster: {said}")


def _ray_cluster(settings: StackSettings) -> dict[str, object]:
    spec = ray_cluster_spec("deepseek", ray_arguments(settings), "programs")
    for group in (spec["headGroupSpec"], *spec["workerGroupSpecs"]):
        without_environment(group["template"]["spec"])
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {"generateName": "deepseek-", "labels": {**labels("ray"), **settings.pods.labels}},
        "spec": spec,
    }
