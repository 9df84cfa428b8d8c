"""What belongs to which of a stack's engines, by name and label."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import pulumi

from components.shared.labels import PART_OF

ENGINE_SERVICE = "deepseek-engine"
"""The Service of engine 0 by itself; those of the others are numbered."""

SUPERVISOR_SERVICE = "deepseek-supervisor"
"""The Service of its supervisor, numbered in the same way."""

AGENT_PORT = 8405
"""Where a supervisor tells proxies, and Ray pods that go, whether its vLLM takes requests."""

SURGE = "-surge"
PLACES = ("", SURGE)
"""How the names of engine 0 may end, where it has a second place beside its predecessor."""

ENGINE = "deepseek-on-kubernetes/engine"
"""Annotation of a Job that waits for a turn: the number of its engine."""

ENGINE_CONTENT = "deepseek-on-kubernetes/engine-content"
"""Annotation of engine 0's RayCluster where it has two places: a hash of what it and its serving Job are made of."""

TakeTurn: TypeAlias = Callable[[str, pulumi.Input[Any], pulumi.ResourceOptions], pulumi.Output[str]]
"""`Turns.take`: for what is to be replaced, called by a word, with its new content."""


def numbered(name: str, engine: int) -> str:
    """Return the name of an object of one engine; those of engine 0 are called as in a stack with one."""
    return f"{name}{_ending(engine)}"


def endings(engines: int, *, second_place: bool) -> tuple[str, ...]:
    """Return how the names of a stack's engines end: one by one, and the second place of engine 0 behind them.

    components/rollout/surge.py tells in which of its two places engine 0 is.
    """
    return (*map(_ending, range(engines)), *([SURGE] if second_place else []))


def labels_at(ending: str) -> dict[str, str]:
    """Return the label by which the supervisor of an engine whose names end so is told from others.

    Every pod of a stack has it with the name of the project, so the pods of engine 0 are the same with one and several.
    """
    return {PART_OF: f"{pulumi.get_project()}{ending}"}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Which of a stack's engines one is, and where engine 0 is in a surge."""

    engine: int = 0
    ending: str = ""
    """How the names of what serves there end."""

    content: str = ""
    """A hash of what its RayCluster and its serving Job are made of; nothing without a surge."""

    @classmethod
    def of(cls, engine: int) -> Self:
        """Return the place of an engine that has one."""
        return cls(engine=engine, ending=_ending(engine))

    is_guarded: bool = False
    """Whether what serves here is replaced only while another one serves, because a surge could spare it."""

    def at(self, name: str) -> str:
        """Return the name of an object of the engine here."""
        return f"{name}{self.ending}"


def _ending(engine: int) -> str:
    return f"-{engine}" if engine else ""
