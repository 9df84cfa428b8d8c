"""Two engines of one pod each behind the proxies: a change cuts no answer and loses no request."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from completion import Model
from pulumi import automation

from local import dev, stack
from tests.serving import live
from tests.serving.conftest import Served
from tests.serving.dev_stack import changed
from tests.serving.observer import LONG_ANSWER_SECONDS, LongRequest

ANSWER_SECONDS = 60.0
GENERATING_SECONDS = 120.0
ONE_POD: dict[str, dict[str, Any]] = {
    "hardware": {"nodes": 1, "memory": "5Gi"},
    "rollout": {"drainTimeout": "10m"},
}


def two_engines(**serving: Any) -> automation.Stack:
    """Return the dev stack with two engines, of one rank each."""
    keys = {**ONE_POD, "serving": {"engines": 2, "tensorParallelSize": 1, **serving}}
    configured = stack.configuration(dev.STACK)
    return changed({f"deepseek:{name}": configured.get(f"deepseek:{name}", {}) | of for name, of in keys.items()})


@pytest.fixture
def model(served: Served) -> Iterator[Model]:
    """The model behind two engines; then the stack is as its file says."""
    two_engines().up(on_output=stack.show)
    yield Model(live.service_url(served.outputs["service"]), served.outputs["servedModels"][0])
    changed().up(on_output=stack.show)


def heads() -> dict[str, str]:
    """Return the uid of the head of each engine."""
    return {pod["metadata"]["labels"]["ray.io/cluster"]: pod["metadata"]["uid"] for pod in live.pods(live.HEAD)}


@pytest.mark.faults
def test_a_change_of_both_cuts_no_answer_and_loses_no_request(model: Model) -> None:
    before = heads()
    assert before.keys() == {"deepseek", "deepseek-1"}
    under_way = [LongRequest(model, stream=True) for _ in range(2)]
    for request in under_way:
        request.start()
    assert all(request.generating.wait(GENERATING_SECONDS) for request in under_way)
    problems: list[str] = []
    with ThreadPoolExecutor() as pool:
        changing = pool.submit(two_engines(maxModelLen=2040).up, on_output=stack.show)
        while not changing.done():
            answer = model.ask("Say yes.", 1, ANSWER_SECONDS)
            problems.append("" if answer.completed else answer.problem)
        changing.result()
    for request in under_way:
        request.stop()
    for request in under_way:
        request.join(LONG_ANSWER_SECONDS)
    assert [request.outcome for request in under_way] == ["", ""]
    assert set(problems) == {""}
    assert heads() == before, "only vLLM was started anew"
