"""What belongs to which of a stack's engines, by name and label."""

from collections.abc import Callable
from typing import Any, TypeAlias

import pulumi

ENGINE = "deepseek-on-kubernetes/engine"
"""Label of a serving Job's pods: the number of their engine."""

TakeTurn: TypeAlias = Callable[[str, pulumi.Input[Any], pulumi.ResourceOptions], pulumi.Output[str]]
"""`Turns.take`: for what is to be replaced, called by a word, with its new content."""


def numbered(name: str, engine: int) -> str:
    """Return the name of an object of one engine; those of engine 0 are called as in a stack with one."""
    return f"{name}-{engine}" if engine else name
