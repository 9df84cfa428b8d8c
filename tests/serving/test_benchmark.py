"""The dev stack measures itself, and the result is a stack output."""

from collections.abc import Iterator

import pytest
from pulumi import automation

from local import dev, measure, stack
from local.cluster import cluster
from tests.serving import live
from tests.serving.conftest import Served
from tests.serving.dev_stack import changed

TOO_MUCH = 100_000


@pytest.fixture(scope="module", autouse=True)
def measuring(served: Served) -> Iterator[None]:
    """The dev stack is as its file says at first, and does not measure itself afterwards."""
    assert served.outputs["benchmark"]
    yield
    changed().up()


def test_make_dev_ends_with_figures(served: Served) -> None:
    figures = served.outputs["benchmark"]
    assert figures["tokensPerSecond"] > 0
    assert figures["answered"] >= figures["requestsAtOnce"] == 8
    assert figures["failed"] == 0
    assert 0 < figures["timeToFirstToken"]["median"] <= figures["timeToFirstToken"]["p99"]
    assert 0 < figures["timePerToken"]["median"] <= figures["timePerToken"]["p99"]


def test_measured_by_hand_it_serves_on_and_the_figures_before_stand_beside_the_new(served: Served) -> None:
    before = served.outputs["benchmark"]
    serving = {pod["metadata"]["uid"] for label in (live.HEAD, live.WORKER) for pod in live.pods(label)}
    figures = measure.measured(stack.select(dev.STACK, cluster.KUBECONFIG))
    assert figures["measuredAt"] > before["measuredAt"]
    assert figures["previous"] == {key: before[key] for key in ("tokensPerSecond", "measuredAt")}
    assert serving == {pod["metadata"]["uid"] for label in (live.HEAD, live.WORKER) for pod in live.pods(label)}


def test_too_slow_a_model_fails_the_up_with_both_numbers() -> None:
    load = stack.configuration(dev.STACK)["deepseek:benchmark"] | {"minimumTokensPerSecond": TOO_MUCH}
    with pytest.raises(automation.CommandError, match=rf"tokens/s were measured, and .* is {TOO_MUCH}"):
        changed({"deepseek:benchmark": load}).up()
    assert live.is_healthy()
