"""The dev stack has proven its network over Gloo, between its two Ray pods, before vLLM started."""

from typing import Any

import pytest

from local import dev, stack
from tests.serving import live
from tests.serving.conftest import Served
from tests.serving.dev_stack import changed

MOST_SECONDS = 60
"""Of the ranks, which share two cores with everything else; their bound."""

TOO_MUCH = 100_000


@pytest.fixture(scope="module")
def proven(served: Served) -> dict[str, Any]:
    """What `up` shows now: other tests may have replaced pods, and those were measured again."""
    assert served.outputs["network"]
    return changed().up().outputs["network"].value


def test_the_stack_has_measured_its_network_between_its_pods(proven: dict[str, Any]) -> None:
    assert "problem" not in proven
    assert proven["ranks"] == proven["allReduce"]["ranks"] == 2
    assert proven["allReduce"]["gigabytesPerSecond"] > 0
    [pair] = proven["nodes"]["pairs"]
    assert set(pair.split(" - ")) == {live.pod_name(label) for label in (live.HEAD, live.WORKER)}
    assert proven["nodes"]["gigabytesPerSecond"] > 0
    assert proven["processors"]["teraflops"]["least"] > 0
    assert 0 < proven["seconds"] < MOST_SECONDS


@pytest.mark.usefixtures("proven")
def test_it_is_told_on_the_serving_job_and_in_the_supervisors_log() -> None:
    told = [event for _, event in live.story(0) if event.name == "network"]
    assert "all-reduce of 2 ranks" in told[-1].fields["measured"]
    assert "reason" not in told[-1].fields
    events = live.API.request("GET", f"{live.CORE}/events?fieldSelector=reason=NetworkMeasured")["items"]
    assert any("all-reduce of 2 ranks" in event["message"] for event in events)


@pytest.mark.usefixtures("proven")
def test_a_minimum_that_is_not_reached_touches_nothing_that_serves_and_is_a_warning() -> None:
    before = {pod["metadata"]["uid"] for label in (live.HEAD, live.WORKER, live.SUPERVISOR) for pod in live.pods(label)}
    network = {**stack.configuration(dev.STACK)["deepseek:network"], "minimumBandwidth": TOO_MUCH}
    said = changed({"deepseek:network": network}).up().stdout
    assert f"network.minimumBandwidth is {TOO_MUCH:g} Gbit/s" in said
    assert "its next start is refused" in said
    changed().up()
    changed().preview(expect_no_changes=True)
    after = {pod["metadata"]["uid"] for label in (live.HEAD, live.WORKER, live.SUPERVISOR) for pod in live.pods(label)}
    assert before == after
    assert live.is_healthy()
