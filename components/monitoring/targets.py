"""The pods of a stack that tell metrics: which they are, and where."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from components.endpoint.haproxy_sections import PROBE_PORT
from components.ray_cluster.ray_cluster import METRICS_PORT, PORT
from components.ray_cluster.ray_pods import CONTAINER
from components.shared.labels import selector

PATH = "/metrics"
PROGRAM_PORT = 8001
"""Of supervisor and download (images/shared/metrics.py)."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Pods of one component that are read alike: one container at one port."""

    name: str
    component: str
    container: str
    port: int
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
ALL = (VLLM, RAY, SUPERVISOR, DOWNLOAD, ENDPOINT)


def targets(*, proxy: bool) -> tuple[Target, ...]:
    """Return what a stack has, with proxies or without."""
    return tuple(target for target in ALL if proxy or target is not ENDPOINT)
