"""The dev stack measures itself when it is told to, and the result is a stack output."""

from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest
from pulumi import automation

from local import dev, stack
from local.cluster import cluster
from tests.serving import live
from tests.serving.conftest import Served

SMALL = {"enabled": True, "requestsAtOnce": 4, "inputTokens": 64, "outputTokens": 16, "duration": "5s"}
TOO_MUCH = 100_000

Measure: TypeAlias = Callable[..., automation.UpResult]


@pytest.fixture
def measure(served: Served) -> Iterator[Measure]:
    """Bring the stack up with keys of `benchmark`, and in the end without."""

    def up(**keys: int) -> automation.UpResult:
        return stack.select(dev.STACK, cluster.KUBECONFIG, {"deepseek:benchmark": SMALL | keys}).up()

    yield up
    stack.select(dev.STACK, cluster.KUBECONFIG).up()
    served.stack.preview(expect_no_changes=True)


def test_the_stack_measures_itself_while_it_serves_and_again_when_the_load_is_another(
    measure: Measure,
) -> None:
    serving = {pod["metadata"]["uid"] for label in (live.HEAD, live.WORKER) for pod in live.pods(label)}
    first = measure().outputs["benchmark"].value
    assert first["tokensPerSecond"] > 0
    assert first["answered"] >= 4
    assert first["failed"] == 0
    assert 0 < first["timeToFirstToken"]["median"] <= first["timeToFirstToken"]["p99"]
    assert 0 < first["timePerToken"]["median"] <= first["timePerToken"]["p99"]
    assert measure().outputs["benchmark"].value == first, "nothing has changed, and nothing is measured"
    second = measure(outputTokens=8).outputs["benchmark"].value
    assert second["previous"] == {key: first[key] for key in ("tokensPerSecond", "measuredAt")}
    assert serving == {pod["metadata"]["uid"] for label in (live.HEAD, live.WORKER) for pod in live.pods(label)}


def test_too_slow_a_model_fails_the_up_with_both_numbers(measure: Measure) -> None:
    with pytest.raises(automation.CommandError, match=rf"tokens/s were measured, and .* is {TOO_MUCH}"):
        measure(minimumTokensPerSecond=TOO_MUCH)
    assert live.is_healthy()
