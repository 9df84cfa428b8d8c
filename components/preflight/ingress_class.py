"""Whether the cluster has the IngressClass of `endpoint.ingressClass`."""

from collections.abc import Iterator
from functools import partial

from kubernetes import client

from components.shared.cluster_api import ABSENT, TIMEOUT_SECONDS, read
from planning.problems import Problem


def of_ingress(api: client.ApiClient, ingress_class: str | None) -> Iterator[Problem]:
    """Return the class that is missing, with those that there are; nothing where this person may not read them."""
    if ingress_class is None:
        return
    networking = client.NetworkingV1Api(api)
    if read(partial(networking.read_ingress_class, ingress_class, _request_timeout=TIMEOUT_SECONDS)) is not ABSENT:
        return
    listed = read(partial(networking.list_ingress_class, _request_timeout=TIMEOUT_SECONDS))
    found = listed.items if isinstance(listed, client.V1IngressClassList) else []
    names = sorted(item.metadata.name for item in found if item.metadata and item.metadata.name)
    text = f"the cluster has no IngressClass '{ingress_class}'"
    yield Problem("endpoint.ingressClass", text, f"one of: {', '.join(names)}" if names else "an Ingress controller")
