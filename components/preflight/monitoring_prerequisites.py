"""What monitoring needs of the cluster beforehand: the kinds of object of the Prometheus Operator."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# The Kubernetes client's errors have no types.

from collections.abc import Iterator

from kubernetes import client
from kubernetes.client.exceptions import ApiException

from components.monitoring.monitoring import GROUP
from components.shared.cluster_api import NOT_FOUND, TIMEOUT_SECONDS
from planning.problems import Problem
from planning.settings.sections import Monitoring

KINDS = {"podmonitors": "PodMonitor", "prometheusrules": "PrometheusRule"}
INSTALL = (
    "monitoring.scrape: annotations, for a Prometheus without the operator; or helm install kube-prometheus-stack "
    "kube-prometheus-stack --repo https://prometheus-community.github.io/helm-charts --namespace monitoring "
    "--create-namespace"
)


def of_monitoring(api: client.ApiClient, monitoring: Monitoring) -> Iterator[Problem]:
    """Return the kinds of object that PodMonitors and alerts need and the API server does not know."""
    if not monitoring.has_operator:
        return
    known = _known(api)
    if lacking := [kind for resource, kind in KINDS.items() if resource not in known]:
        text = f"podMonitors, and the Prometheus Operator is not installed: the API server knows no {_and(lacking)}"
        yield Problem("monitoring.scrape", text, INSTALL)


def _known(api: client.ApiClient) -> set[str]:
    try:
        found = client.CustomObjectsApi(api).get_api_resources(GROUP, "v1", _request_timeout=TIMEOUT_SECONDS)
    except ApiException as error:
        if error.status != NOT_FOUND:
            raise
        return set()
    return {resource.name for resource in found.resources}


def _and(kinds: list[str]) -> str:
    return " and no ".join(kinds)
