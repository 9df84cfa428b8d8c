"""Finds objects of another stack, or of nobody, that an `up` would take over.

The provider takes over what exists under a name that it wants (`cluster_provider` says why), so two stacks in one
namespace would take each other's objects. A stack's own carry its name in the label `app.kubernetes.io/instance`.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# The Kubernetes client's generic requests have no types.

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import pulumi
from kubernetes import client

from components.endpoint.http_route import GROUP as GATEWAY_GROUP
from components.model_store.claim import claim_name
from components.monitoring.monitoring import GROUP
from components.monitoring.targets import ALL
from components.network_policies import CLIENTS, COMPONENTS
from components.shared.cluster_api import TIMEOUT_SECONDS, read
from components.shared.labels import FOR_NAMESPACE
from planning.problems import Problem
from planning.settings.sections import StackSettings

KEY = "kubernetes:namespace"
CORE, RBAC = "/api/v1", "/apis/rbac.authorization.k8s.io/v1"
ACCOUNTS = frozenset({"benchmark", "claim", "download", "gate", "supervisor"})
MONITORED = [target.name for target in ALL]
METRICS_SERVICES = [f"deepseek-metrics-{name}" for name in MONITORED]
LIMITS = "deepseek-endpoint-limits"
POLICIES = frozenset(f"deepseek-{component}" for component in (*COMPONENTS, CLIENTS))
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
"""What is asked for: nobody needs the contents of Secrets to tell whose they are."""

MOST_NAMES = 30
"""Names in an error. The fixed names of a stack, 20 at most, come before those that follow its content."""


@dataclass(frozen=True)
class Kind:
    """A kind of object: where the API server lists it, and the names that every stack gives to it.

    ConfigMaps and Jobs have none, because their names follow their content.
    """

    name: str
    group: str
    plural: str
    names: frozenset[str] = frozenset()


KINDS = (
    Kind("RayCluster", "/apis/ray.io/v1", "rayclusters", frozenset({"deepseek"})),
    Kind(
        "Service",
        CORE,
        "services",
        frozenset({"deepseek", "deepseek-engine", "deepseek-supervisor", LIMITS, *METRICS_SERVICES}),
    ),
    Kind("Deployment", "/apis/apps/v1", "deployments", frozenset({"deepseek-endpoint", LIMITS})),
    Kind("Ingress", "/apis/networking.k8s.io/v1", "ingresses", frozenset({"deepseek"})),
    Kind("Job", "/apis/batch/v1", "jobs"),
    Kind("ConfigMap", CORE, "configmaps"),
    Kind("Secret", CORE, "secrets", frozenset({"api-key", "model-token"})),
    Kind("PersistentVolumeClaim", CORE, "persistentvolumeclaims"),
    Kind("ServiceAccount", CORE, "serviceaccounts", ACCOUNTS),
    Kind("Role", RBAC, "roles", ACCOUNTS),
    Kind("RoleBinding", RBAC, "rolebindings", ACCOUNTS),
    Kind("NetworkPolicy", "/apis/networking.k8s.io/v1", "networkpolicies", POLICIES),
    Kind(
        "PodDisruptionBudget", "/apis/policy/v1", "poddisruptionbudgets", frozenset({"deepseek", "deepseek-endpoint"})
    ),
)
OF_THE_PROMETHEUS_OPERATOR = (
    Kind("PodMonitor", f"/apis/{GROUP}/v1", "podmonitors", frozenset(f"deepseek-{name}" for name in MONITORED)),
    Kind(
        "PrometheusRule",
        f"/apis/{GROUP}/v1",
        "prometheusrules",
        frozenset({"deepseek", "deepseek-serving", "deepseek-speed"}),
    ),
)
HTTP_ROUTE = Kind("HTTPRoute", f"/apis/{GATEWAY_GROUP}/v1", "httproutes", frozenset({"deepseek"}))
"""Looked for where the stack makes them."""


def kinds(settings: StackSettings) -> tuple[Kind, ...]:
    """Return the kinds of object that a stack may take over from others."""
    monitors = OF_THE_PROMETHEUS_OPERATOR if settings.monitoring.has_operator else ()
    return (*KINDS, *monitors, *([HTTP_ROUTE] if settings.endpoint.gateway else ()))


def taken_over(api: client.ApiClient, namespace: str, settings: StackSettings) -> Iterator[Problem]:
    """Return, for each owner, which objects of the namespace an `up` would take over from it.

    A claim of another stack's counts only where this stack would use it: a destroyed stack leaves its claim behind.
    What this person may not list is left out.
    """
    stack = pulumi.get_stack()
    claims = set() if settings.storage.existing_claim else {claim_name(settings.storage)}
    found: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    for kind in kinds(settings):
        is_claim = kind.name == "PersistentVolumeClaim"
        names = claims if is_claim else kind.names
        for name, owner in _listed(api, namespace, kind):
            if owner != stack and name in names:
                found.setdefault(owner, []).append(f"{kind.name} {name}")
            elif owner != stack and owner and not is_claim:
                others.setdefault(owner, []).append(f"{kind.name} {name}")
    for owner in sorted(found | others):
        objects = found.get(owner, []) + others.get(owner, [])
        yield _of_a_stack(namespace, owner, objects) if owner else _of_nobody(namespace, objects)


def _owner(labels: Mapping[str, str]) -> str:
    """Return the stack of this program that made an object; empty if something else made it."""
    return (
        labels.get("app.kubernetes.io/instance", "")
        if labels.get("app.kubernetes.io/name") == pulumi.get_project()
        else ""
    )


def _of_a_stack(namespace: str, owner: str, objects: list[str]) -> Problem:
    mine = pulumi.get_stack()
    text = f"namespace '{namespace}' holds objects of stack '{owner}', which stack '{mine}' would take over: "
    plurals = ",".join(
        kind.plural
        for kind in (*KINDS, *OF_THE_PROMETHEUS_OPERATOR)
        if any(item.startswith(f"{kind.name} ") for item in objects)
    )
    relabel = f"kubectl -n {namespace} label {plurals} -l app.kubernetes.io/instance={owner} --overwrite"
    advice = f"another namespace; if '{mine}' is '{owner}' renamed, or takes the place of the destroyed '{owner}': "
    return Problem(KEY, text + _told(objects), f"{advice}{relabel} app.kubernetes.io/instance={mine}")


def _of_nobody(namespace: str, objects: list[str]) -> Problem:
    text = f"namespace '{namespace}' holds objects that no stack has made, and this one would take over: "
    return Problem(KEY, text + _told(objects), "another namespace")


def _told(objects: list[str]) -> str:
    more = f" and {len(objects) - MOST_NAMES} more" if len(objects) > MOST_NAMES else ""
    return ", ".join(objects[:MOST_NAMES]) + more


def _listed(api: client.ApiClient, namespace: str, kind: Kind) -> Iterator[tuple[str, str]]:
    """Return the name and the owner of each object of a kind, but for builds of a stack of another namespace.

    Those have names of their own (`image.buildNamespace` of that stack is this namespace).
    """
    items = read(partial(_metadata, api, f"{kind.group}/namespaces/{namespace}/{kind.plural}"))
    for item in cast("list[dict[str, Any]]", items) if isinstance(items, list) else []:
        described = item["metadata"]
        if (described.get("annotations") or {}).get(FOR_NAMESPACE, namespace) == namespace:
            yield described["name"], _owner(described.get("labels") or {})


def _metadata(api: client.ApiClient, path: str) -> list[dict[str, Any]]:
    request = api.param_serialize("GET", path, header_params={"Accept": METADATA_ONLY}, auth_settings=["BearerToken"])
    response = api.call_api(*request, _request_timeout=TIMEOUT_SECONDS)
    response.read()
    answer: Any = api.response_deserialize(response, {"200": "object"}).data
    return answer["items"]
