"""How a model is spread over GPUs, and over which links its ranks speak."""

from dataclasses import dataclass

from planning.sizing.gpus import Rates
from planning.sizing.sizes import Sizes

GIGABITS = 1e9 / 8
"""Bytes."""


@dataclass(frozen=True, kw_only=True)
class Layout(Sizes):
    """The sizes by which vLLM divides model, requests and KV cache, on nodes."""

    gpus_per_node: int
    engines: int = 1
    """How many times there are such ranks."""

    @property
    def nodes(self) -> int:
        """Nodes that are full of ranks, and the one that is not."""
        return -(-self.gpus // self.gpus_per_node)


@dataclass(frozen=True)
class Links:
    """Bytes a second that one GPU sends to others."""

    in_node: float
    between_nodes: float

    @classmethod
    def of(cls, rates: Rates, layout: Layout, network_gbit: float) -> "Links":
        """`network_gbit` is what one node has, in Gbit/s; its GPUs share it."""
        return cls(rates.link_gb * 1e9, network_gbit * GIGABITS / layout.gpus_per_node)

    def among(self, ranks: int, layout: Layout) -> float:
        """Of ranks that follow each other: the slowest link between them."""
        return self.in_node if ranks <= layout.gpus_per_node else min(self.in_node, self.between_nodes)
