"""What the ranks of a layout measure together: groups that reduce, and rounds of pairs that send to each other.

Ranks are counted as vLLM does: node by node, and in a stage of the pipeline tensor-parallel ranks follow each other.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TypeAlias

Pair: TypeAlias = tuple[int, int]
Round: TypeAlias = list[Pair]
"""Pairs of which none has a rank or node of another: they send at the same time."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How many nodes with how many ranks each, and how the model is divided among them."""

    nodes: int
    ranks_per_node: int
    tensor_parallel_size: int
    pipeline_parallel_size: int
    expert_parallel: bool = False
    """Whether ranks of a stage hold whole experts."""

    on_gpus: bool = True

    @property
    def world(self) -> int:
        """All ranks."""
        return self.nodes * self.ranks_per_node

    @property
    def stages(self) -> list[list[int]]:
        """The ranks of each stage: those that reduce together."""
        size = self.tensor_parallel_size
        return [list(range(stage * size, (stage + 1) * size)) for stage in range(self.pipeline_parallel_size)]

    def node_of(self, rank: int) -> int:
        """Return the number of the node that has a rank."""
        return rank // self.ranks_per_node

    @staticmethod
    def read(told: str) -> "Layout":
        """Return the layout of its fields by name in JSON. Raises ValueError or TypeError for something else."""
        return Layout(**json.loads(told))

    def told(self) -> str:
        """Return the fields by name in JSON."""
        return json.dumps(asdict(self))


def stage_rounds(layout: Layout) -> list[Round]:
    """Return the pairs of ranks between which activations go from a stage to the next, in two rounds at most."""
    hops = list(zip(layout.stages, layout.stages[1:], strict=False))
    return [[pair for hop in hops[odd::2] for pair in zip(*hop, strict=True)] for odd in (0, 1) if hops[odd::2]]


def node_rounds(layout: Layout) -> list[Round]:
    """Return every pair of nodes, as pairs of their ranks with the same place, in as few rounds as there can be."""
    places = range(layout.ranks_per_node)
    return [
        [(a * layout.ranks_per_node + place, b * layout.ranks_per_node + place) for a, b in pairs for place in places]
        for pairs in tournament(layout.nodes)
    ]


def tournament(count: int) -> list[Round]:
    """Return rounds in which each of `count` meets each other once (circle method: one stays, the others rotate)."""
    players: list[int] = [*range(count), *([-1] if count % 2 else [])]
    found: list[Round] = []
    for _ in range(len(players) - 1):
        half = len(players) // 2
        met = zip(players[:half], reversed(players[half:]), strict=True)
        found.append([(min(pair), max(pair)) for pair in met if -1 not in pair])
        players = [players[0], players[-1], *players[1:-1]]
    return [pairs for pairs in found if pairs]


def peer_in(pairs: Sequence[Pair], rank: int) -> int | None:
    """Return with whom a rank is paired, None where it is with nobody."""
    return next((b if rank == a else a for a, b in pairs if rank in (a, b)), None)
