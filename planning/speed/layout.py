"""How a model is spread over GPUs, and over which links its ranks speak."""

from dataclasses import dataclass

from planning.sizing.gpus import Rates

GIGABITS = 1e9 / 8
"""Bytes."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The sizes by which vLLM divides model, requests and KV cache."""

    tensor_parallel_size: int
    pipeline_parallel_size: int = 1
    data_parallel_size: int = 1
    """Copies of the attention, each with its own requests; the experts are divided among all of them."""
    expert_parallel: bool = False
    """Each rank holds whole experts. Otherwise it holds a slice of every expert."""
    decode_context_parallel_size: int = 1
    """Ranks among which tensor-parallel ranks divide the KV cache."""
    gpus_per_node: int

    @property
    def expert_ranks(self) -> int:
        """Ranks that share the experts of a layer."""
        return self.tensor_parallel_size * self.data_parallel_size

    @property
    def gpus(self) -> int:
        """All of them."""
        return self.expert_ranks * self.pipeline_parallel_size

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
