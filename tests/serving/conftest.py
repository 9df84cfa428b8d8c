"""`make dev`'s path with real pods.

A cluster that is up is used and stays up, in the end with the dev stack of the file; otherwise it goes when the tests
end.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from completion import Model
from pulumi import automation

from local import conversation, dev, stack
from local.cluster import cluster
from tests.serving.closed_stack import closed_stack
from tests.serving.observer import LongRequest, Observer
from tests.serving.recovery import wait_for

GENERATING_SECONDS = 120.0


def pytest_configure(config: pytest.Config) -> None:
    """Leave it to Pulumi that its Automation API drops sockets, event loop and coroutine of an `up` that failed."""
    config.addinivalue_line("filterwarnings", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Report of an `up` that failed what the engine diagnosed. The command, its progress and outputs take 300 lines."""
    report = yield
    if call.excinfo and isinstance(call.excinfo.value, automation.CommandError):
        _, found, diagnosed = str(call.excinfo.value).partition("Diagnostics:")
        report.longrepr = diagnosed.partition("Outputs:")[0] if found else str(call.excinfo.value)
    return report


@dataclass(frozen=True)
class Served:
    """The dev stack, serving."""

    stack: automation.Stack
    outputs: dict[str, Any]
    """Of the `up` of `make dev`."""


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    was_up = cluster.is_up()
    dev.up()
    selected = stack.select(dev.STACK, cluster.KUBECONFIG)
    yield Served(selected, {key: output.value for key, output in selected.outputs().items()})
    if was_up:
        stack.select(dev.STACK, cluster.KUBECONFIG).up(on_output=stack.show)
    else:
        dev.down()


@pytest.fixture(scope="session")
def closed(served: Served) -> Served:
    """The dev stack, which asks for keys from the first test on that wants this.

    No test after those that use it wants an open stack: test_two_copies.py changes it once more, and the tests of
    weights/ have stacks of their own. So it is not made open again here, which would replace the cluster; where it
    stays up, the end of all tests does that.
    """
    assert served.outputs["endpoint"]
    stack_with_keys = closed_stack()
    outputs = stack_with_keys.up(on_output=stack.show).outputs
    return Served(stack_with_keys, {key: output.value for key, output in outputs.items()})


@pytest.fixture
def url(served: Served) -> Iterator[str]:
    with conversation.forwarded(cluster.KUBECONFIG, dev.NAMESPACE, served.outputs["service"]) as base:
        yield base


@pytest.fixture
def observer(served: Served, model: Model) -> Iterator[Observer]:
    wait_for("an answer before the fault", lambda: model.ask("Say yes.", 1, 60).completed)
    with Observer(served.outputs["service"], model) as observer:
        yield observer


@pytest.fixture
def in_flight(model: Model, observer: Observer) -> Iterator[list[LongRequest]]:
    """Two long requests under way: one that streams its answer, one that gives it whole."""
    assert observer
    requests = [LongRequest(model, stream=stream) for stream in (False, True)]
    for request in requests:
        request.start()
    assert requests[-1].generating.wait(GENERATING_SECONDS)
    yield requests
    for request in requests:
        request.stop()
