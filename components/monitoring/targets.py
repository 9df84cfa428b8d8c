"""The pods of a stack that tell metrics: which they are, and where."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from components.endpoint.haproxy_sections import CERTIFICATE_END_PATH, PROBE_PORT
from components.ray_cluster.ray_cluster import METRICS_PORT, PORT
from components.ray_cluster.ray_pods import CONTAINER
from components.shared.labels import selector
from planning.settings.sections import Endpoint

PROGRAM_PORT = 8001
"""Of supervisor and download (images/shared/metrics.py)."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Pods of one component that are read alike: one container at one port."""

    name: str
    component: str
    container: str
    port: int
    path: str = "/metrics"
    more_labels: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def labels(self) -> dict[str, str]:
        """Labels of the pods."""
        return {**selector(self.component), **self.more_labels}


VLLM = Target(name="vllm", component="ray", container=CONTAINER, port=PORT, more_labels={"ray.io/node-type": "head"})
RAY = Target(name="ray", component="ray", container=CONTAINER, port=METRICS_PORT)
SUPERVISOR = Target(name="supervisor", component="serving", container="supervisor", port=PROGRAM_PORT)
DOWNLOAD = Target(name="download", component="download", container="fetch", port=PROGRAM_PORT)
ENDPOINT = Target(name="endpoint", component="endpoint", container="haproxy", port=PROBE_PORT)
CERTIFICATE = replace(ENDPOINT, name="certificate", path=CERTIFICATE_END_PATH)
ALL = (VLLM, RAY, SUPERVISOR, DOWNLOAD, ENDPOINT, CERTIFICATE)


def targets(endpoint: Endpoint) -> tuple[Target, ...]:
    """Return what a stack has: with proxies or without, with a certificate or without."""
    absent = [ENDPOINT] * (not endpoint.proxy) + [CERTIFICATE] * (not endpoint.takes_tls)
    return tuple(target for target in ALL if target not in absent)
