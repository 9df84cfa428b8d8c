"""The HTTPRoute through which a Gateway of the cluster leads clients to the proxies."""

from typing import Any

import pulumi
import pulumi_kubernetes as k8s

from components.ray_cluster.ray_cluster import PORT
from components.shared.labels import metadata
from planning.settings.sections import Endpoint, Gateway

GROUP = "gateway.networking.k8s.io"
API_VERSION = f"{GROUP}/v1"

NO_TIMEOUT = "0s"
"""An answer may take an hour and more. The proxies end a connection on which nothing comes."""


def http_route(
    name: str, service: pulumi.Input[str], endpoint: Endpoint, gateway: Gateway, opts: pulumi.ResourceOptions
) -> None:
    """Create the HTTPRoute of `endpoint.gateway`: all paths of `endpoint.host`, to the Service.

    Source: Gateway API 1.4, HTTPRoute; `timeouts` are of its extended support.
    """
    parent = {"name": gateway["name"], "sectionName": gateway["listener"]}
    if "namespace" in gateway:
        parent["namespace"] = gateway["namespace"]
    spec: dict[str, pulumi.Input[Any]] = {
        "parentRefs": [parent],
        "hostnames": [endpoint.host],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "timeouts": {"request": NO_TIMEOUT},
                "backendRefs": [{"name": service, "port": PORT}],
            }
        ],
    }
    k8s.apiextensions.CustomResource(
        name,
        api_version=API_VERSION,
        kind="HTTPRoute",
        metadata=metadata(name, "endpoint", endpoint.annotations),
        spec=spec,
        opts=opts,
    )
