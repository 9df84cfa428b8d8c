"""Measuring by hand: only a stack that is deployed as its file says, and of it only the benchmark's Job."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from pulumi import automation

from local import measure
from tests.unit.components.registrations import run, stack_file

FIGURES = {"tokensPerSecond": 812.3}


class Deployed:
    """A stack as the Automation API gives it, that records what it is asked to replace."""

    name = "a100-bf16"

    def __init__(self, *, benchmark: bool = True, differs: bool = False) -> None:
        self.replaced: list[str] = []
        self._outputs = {"benchmark": SimpleNamespace(value=FIGURES)} if benchmark else {}
        self._differs = differs

    def outputs(self) -> dict[str, Any]:
        return self._outputs

    def preview(self, *, expect_no_changes: bool) -> None:
        if expect_no_changes and self._differs:
            said = "error: no changes were expected but changes were proposed"
            raise automation.CommandError(
                cast("automation.CommandResult", SimpleNamespace(stderr=said, stdout="", code=1))
            )

    def up(self, *, replace: list[str], on_output: Any) -> Any:
        assert on_output
        self.replaced += replace
        return SimpleNamespace(outputs=self._outputs)


def measured(stack: Deployed) -> Any:
    return measure.measured(cast("automation.Stack", stack))


def test_only_the_job_of_the_benchmark_is_replaced() -> None:
    deployed = Deployed()
    assert measured(deployed) == FIGURES
    [urn] = deployed.replaced
    program = run(stack_file("a100-bf16") | {"deepseek:benchmark": {"enabled": True}})
    [place] = {item.urn.split("::", 2)[0] for item in program.registrations}
    job = program.one("Job", "benchmark").urn
    assert urn.split("::", 2)[2] == job.split("::", 2)[2], "as the engine names it"
    assert place.startswith("urn:pulumi:")


def test_what_is_not_deployed_is_not_deployed_by_it() -> None:
    deployed = Deployed(differs=True)
    with pytest.raises(measure.CannotMeasure, match=r"STACK=a100-bf16` first\. .*error: no changes were expected"):
        measured(deployed)
    assert not deployed.replaced


def test_a_stack_without_a_benchmark_is_told_how_to_have_one() -> None:
    deployed = Deployed(benchmark=False)
    with pytest.raises(measure.CannotMeasure, match=r"benchmark\.enabled to true in Pulumi\.a100-bf16\.yaml"):
        measured(deployed)
    assert not deployed.replaced
