"""What belongs to which of a stack's engines, by name and label."""

from collections.abc import Callable
from typing import Any, TypeAlias

import pulumi

from components.shared.labels import PART_OF

ENGINE_SERVICE = "deepseek-engine"
"""The Service of engine 0 by itself; those of the others are numbered."""

SUPERVISOR_SERVICE = "deepseek-supervisor"
"""The Service of its supervisor, numbered in the same way."""

AGENT_PORT = 8405
"""Where a supervisor tells proxies, and Ray pods that go, whether its vLLM takes requests."""

ENGINE = "deepseek-on-kubernetes/engine"
"""Annotation of a Job that waits for a turn: the number of its engine."""

TakeTurn: TypeAlias = Callable[[str, pulumi.Input[Any], pulumi.ResourceOptions], pulumi.Output[str]]
"""`Turns.take`: for what is to be replaced, called by a word, with its new content."""


def numbered(name: str, engine: int) -> str:
    """Return the name of an object of one engine; those of engine 0 are called as in a stack with one."""
    return f"{name}-{engine}" if engine else name


def labels_of_engine(engine: int) -> dict[str, str]:
    """Return the label by which an engine's supervisor is told from those of the others.

    Every pod of a stack has it with the name of the project, so the pods of engine 0 are the same with one and several.
    """
    return {PART_OF: numbered(pulumi.get_project(), engine)}
