"""Values that follow from others, of which some are known when the program runs and others later."""

from collections.abc import Callable
from typing import TypeVar, cast

import pulumi

Value = TypeVar("Value")
Result = TypeVar("Result")


def mapped(value: pulumi.Input[Value], result: Callable[[Value], Result]) -> pulumi.Input[Result]:
    """Return `result(value)`: at once where the value is known, else as an output of it."""
    if isinstance(value, pulumi.Output):
        return cast("pulumi.Output[Value]", value).apply(result)
    return result(cast("Value", value))
