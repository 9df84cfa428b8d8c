"""Whether the cluster has the Gateway of `endpoint.gateway`, with a listener that takes TLS for the host."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# The Kubernetes client's generic requests have no types.

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, cast

from kubernetes import client

from components.endpoint.http_route import GROUP
from components.shared.cluster_api import ABSENT, TIMEOUT_SECONDS, exists, read
from planning.problems import Problem
from planning.settings.sections import Endpoint

KEY = "endpoint.gateway"
INSTALL = "the Gateway API's standard channel (https://gateway-api.sigs.k8s.io/guides), and a controller for it"


def of_gateway(api: client.ApiClient, namespace: str, endpoint: Endpoint) -> Iterator[Problem]:
    """Return what an HTTPRoute to the Gateway lacks; nothing where this person may not read Gateways."""
    gateway = endpoint.gateway
    if gateway is None:
        return
    custom = client.CustomObjectsApi(api)
    if not exists(partial(custom.get_api_resources, GROUP, "v1", _request_timeout=TIMEOUT_SECONDS)):
        yield Problem(KEY, f"the API server knows no HTTPRoute: {GROUP}/v1 is not installed", INSTALL)
        return
    where, name = gateway.get("namespace", namespace), gateway["name"]
    get = custom.get_namespaced_custom_object
    found = read(partial(get, GROUP, "v1", where, "gateways", name, _request_timeout=TIMEOUT_SECONDS))
    if found is ABSENT:
        yield Problem(f"{KEY}.name", f"there is no Gateway '{name}' in namespace '{where}'", "a Gateway that exists")
    elif found is not None:
        listeners = {item["name"]: item for item in cast("dict[str, Any]", found)["spec"]["listeners"]}
        yield from _of_listener(listeners, gateway["listener"], endpoint.host or "", other=where != namespace)


def _of_listener(listeners: Mapping[str, Any], name: str, host: str, *, other: bool) -> Iterator[Problem]:
    """Return what is wrong with a listener for this host; the Gateway is in the route's namespace or in another one."""
    key = f"{KEY}.listener"
    with_tls = sorted(item["name"] for item in listeners.values() if item["protocol"] == "HTTPS")
    advice = f"one of: {', '.join(with_tls)}" if with_tls else "a listener with protocol HTTPS"
    if name not in listeners:
        yield Problem(key, f"the Gateway has no listener '{name}'", advice)
        return
    listener = listeners[name]
    if listener["protocol"] != "HTTPS":
        text = f"'{name}' takes {listener['protocol']}, and keys and prompts need TLS"
        yield Problem(key, text, advice)
    of_host = listener.get("hostname", "")
    if of_host and not _covers(of_host, host):
        yield Problem("endpoint.host", f"'{host}' is no name of listener '{name}'", f"a name of '{of_host}'")
    from_where = listener.get("allowedRoutes", {}).get("namespaces", {}).get("from", "Same")
    if other and from_where == "Same":
        text = f"'{name}' takes routes from its own namespace only"
        yield Problem(key, text, "allowedRoutes.namespaces of the listener that let the stack's namespace in")


def _covers(pattern: str, host: str) -> bool:
    """Whether a listener's hostname is for a host: `*.` stands for one label or several (Gateway API, Hostname)."""
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern
