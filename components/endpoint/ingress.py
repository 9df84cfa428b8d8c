"""The Ingress through which clients outside the cluster come to the proxies."""

from typing import Any, cast

import pulumi
import pulumi_kubernetes as k8s

from components.ray_cluster.ray_cluster import PORT
from components.shared.labels import metadata
from planning.settings.sections import Endpoint

FOR_STREAMS = {
    "nginx.ingress.kubernetes.io/proxy-body-size": "16m",
    "nginx.ingress.kubernetes.io/proxy-buffering": "off",
    "nginx.ingress.kubernetes.io/proxy-read-timeout": "3600",
    "nginx.ingress.kubernetes.io/proxy-send-timeout": "3600",
}
"""What ingress-nginx needs for answers of an hour that come chunk by chunk. Others read annotations of their own."""


def ingress(
    name: str, service: pulumi.Input[str], endpoint: Endpoint, opts: pulumi.ResourceOptions
) -> k8s.networking.v1.Ingress:
    """Create the Ingress of `endpoint.ingressClass`: all paths of `endpoint.host`, by TLS, to the Service."""
    # Not awaited: some controllers give it no address.
    annotations = {**FOR_STREAMS, **endpoint.annotations, "pulumi.com/skipAwait": "true"}
    backend = {"service": {"name": service, "port": {"number": PORT}}}
    spec = {
        "ingressClassName": endpoint.ingress_class,
        "tls": [{"hosts": [endpoint.host], "secretName": endpoint.tls_secret}],
        "rules": [
            {"host": endpoint.host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
        ],
    }
    return k8s.networking.v1.Ingress(
        name, metadata=metadata(name, "endpoint", annotations), spec=cast("Any", spec), opts=opts
    )
