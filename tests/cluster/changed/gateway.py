"""A Gateway of the cluster: the definitions of the Gateway API, from its own module, and a Gateway with TLS."""

from collections.abc import Generator
from contextlib import contextmanager

from components.endpoint.http_route import API_VERSION, GROUP
from local.building.builds import data
from local.cluster.api_server import ApiServer
from local.cluster.ray_operator import DEFINITIONS
from tests.cluster.changed.changes import GATEWAY
from tests.cluster.world.stack_objects import a_namespace
from tests.cluster.world.watched_objects import wait_until

KINDS = ("gateways", "httproutes")


@contextmanager
def a_gateway(api: ApiServer) -> Generator[None]:
    """Have it within this context; routes from all namespaces may come to it."""
    manifest = {
        "apiVersion": API_VERSION,
        "kind": "Gateway",
        "metadata": {"name": GATEWAY["name"]},
        "spec": {
            "gatewayClassName": "example",
            "listeners": [
                {
                    "name": GATEWAY["listener"],
                    "protocol": "HTTPS",
                    "port": 443,
                    "hostname": "*.example.com",
                    "tls": {"certificateRefs": [{"name": "door-tls"}]},
                    "allowedRoutes": {"namespaces": {"from": "All"}},
                }
            ],
        },
    }
    try:
        for kind in KINDS:
            definition = (data("gateway-crds") / f"{GROUP}_{kind}.yaml").read_text(encoding="utf-8")
            api.create(DEFINITIONS, definition)
        wait_until(lambda: _served(api) >= set(KINDS))
        with a_namespace(api, GATEWAY["namespace"]):
            api.apply(f"/apis/{API_VERSION}/namespaces/{GATEWAY['namespace']}/gateways/{GATEWAY['name']}", manifest)
            yield
    finally:
        for kind in KINDS:
            api.delete(f"{DEFINITIONS}/{kind}.{GROUP}")


def _served(api: ApiServer) -> set[str]:
    return {resource["name"] for resource in (api.get(f"/apis/{API_VERSION}") or {"resources": []})["resources"]}
