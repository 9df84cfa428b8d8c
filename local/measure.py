"""Measures a deployed stack again: `python -m local.measure STACK`, the target `make bench-deployed`.

Only the Job of the benchmark is replaced. What the stack file would change beside it is refused, because a measurement
shall restart nothing.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

from pulumi import automation

from local import stack
from local.stack import PROJECT

JOB = "deepseek:index:Benchmark$kubernetes:batch/v1:Job::benchmark"


class CannotMeasure(Exception):
    """The stack is not in a state to be measured; the text says what to do."""


def measured(selected: automation.Stack) -> Mapping[str, Any]:
    """Run the benchmark of a deployed stack; return its output `benchmark`.

    Raises CannotMeasure, and CommandError where the measurement is below the minimum.
    """
    if "benchmark" not in selected.outputs():
        raise CannotMeasure(
            f"{selected.name} has no benchmark: set deepseek:benchmark.enabled to true in Pulumi.{selected.name}.yaml "
            f"and run `make up STACK={selected.name}`, which measures"
        )
    try:
        selected.preview(expect_no_changes=True)
    except automation.CommandError as error:
        raise CannotMeasure(
            f"{selected.name} differs from its stack file, or could not be compared: run `make preview "
            f"STACK={selected.name}` to see it, and `make up STACK={selected.name}` first. {_last_line(error)}"
        ) from None
    urn = f"urn:pulumi:{selected.name}::{PROJECT}::{JOB}"
    return selected.up(replace=[urn], on_output=stack.show).outputs["benchmark"].value


def _last_line(error: automation.CommandError) -> str:
    lines = [line.strip() for line in str(error).splitlines() if "error: " in line]
    return lines[-1] if lines else ""


def main() -> int:
    """Measure the stack of the command line, and print its figures as JSON; return the exit code."""
    [name] = sys.argv[1:]
    stack.unlock_abandoned(name)
    try:
        print(json.dumps(measured(stack.select(name, stack.embedded_cluster(name))), indent=2))
    except CannotMeasure as reason:
        print(reason, file=sys.stderr)
        return 1
    except automation.CommandError:
        return 1  # the engine has printed what is wrong
    return 0


if __name__ == "__main__":
    sys.exit(main())
