"""The Ray nodes that the plan counts on, for whoever waits for them or tells that some are missing."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PlannedNodes:
    """How many Ray nodes, with how many GPUs each, and the product label of these (empty on CPUs)."""

    count: int
    gpus_per_node: int
    product: str = ""

    @staticmethod
    def read(env: Mapping[str, str]) -> "PlannedNodes":
        """Return what RAY_NODES, GPUS_PER_NODE and, where it is set, GPU_PRODUCT say; raise KeyError or ValueError."""
        return PlannedNodes(int(env["RAY_NODES"]), int(env["GPUS_PER_NODE"]), env.get("GPU_PRODUCT", ""))

    @property
    def gpus(self) -> int:
        """Those of all nodes."""
        return self.count * self.gpus_per_node
