"""Two engines behind the proxies: neither a change nor an eviction cuts an answer or loses a request."""

import contextlib
import http
import json
import signal
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pytest
from completion import Model, sum_of
from direct_http import fetch
from draining import RUNNING
from pulumi import automation

from local import dev, stack
from local.cluster.api_server import ApiError
from tests.serving import live
from tests.serving.conftest import Served
from tests.serving.dev_stack import changed
from tests.serving.observer import LONG_ANSWER_SECONDS, Ask, LongRequest
from tests.serving.recovery import wait_for

ANSWER_SECONDS = 60.0
GENERATING_SECONDS = 120.0
RAY = "ray.io/cluster"
LOOKS = 5
LOSS_SECONDS = 2.0
"""In which a killed engine may still be sent requests."""

EVICTION_SECONDS = 600.0
"""Until a pod is evicted, its engine has ended its answers, and all pods are ready again."""


Sections: TypeAlias = dict[str, dict[str, Any]]


def small_engines(count: int, sections: Sections) -> automation.Stack:
    """Return the dev stack with engines of one rank each, and these keys."""
    keys: Sections = {
        "hardware": {"nodes": 1, "memory": "5Gi"},
        "rollout": {"drainTimeout": "10m"},
        "serving": {"engines": count, "tensorParallelSize": 1},
    }
    configured = stack.configuration(dev.STACK)
    merged = {
        f"deepseek:{name}": configured.get(f"deepseek:{name}", {}) | keys.get(name, {}) | sections.get(name, {})
        for name in keys.keys() | sections.keys()
    }
    return changed(merged)


def two_engines(**sections: dict[str, Any]) -> automation.Stack:
    return small_engines(2, sections)


def one_with_surge(**serving: Any) -> automation.Stack:
    rollout = {"drainTimeout": "10m", "surge": 1}
    return small_engines(1, {"rollout": rollout, "serving": {"engines": 1, "tensorParallelSize": 1, **serving}})


@contextlib.contextmanager
def served_by(small: automation.Stack, served: Served) -> Generator[Model]:
    """Give the model behind small engines; then the stack is as its file says.

    There is a pause in between: this machine has no room for the engine of the file beside a small one.
    """
    small.up(on_output=stack.show)
    yield Model(live.service_url(served.outputs["service"]), served.outputs["servedModels"][0])
    small_engines(0, {}).up(on_output=stack.show)
    changed().up(on_output=stack.show)


@pytest.fixture
def model(served: Served) -> Iterator[Model]:
    with served_by(two_engines(), served) as model:
        yield model


@pytest.fixture
def model_with_surge(served: Served) -> Iterator[Model]:
    with served_by(one_with_surge(), served) as model:
        yield model


def heads() -> dict[str, str]:
    """Return the uid of the head of each engine."""
    return {pod["metadata"]["labels"][RAY]: pod["metadata"]["uid"] for pod in live.pods(live.HEAD)}


@dataclass
class Asked:
    """What clients got that ask all the time: short questions one after the other, and streams of long answers."""

    short: list[Ask] = field(default_factory=list[Ask])
    long: list[LongRequest] = field(default_factory=list[LongRequest])

    @property
    def problems(self) -> list[str]:
        """Of short questions, and of streams that were cut."""
        return [ask.problem for ask in self.short if ask.problem] + [one.outcome for one in self.long if one.outcome]


@contextlib.contextmanager
def asking(model: Model) -> Generator[Asked]:
    """Keep two streams and a short question under way until the context is left, and the streams have ended."""
    asked, over = Asked(long=[LongRequest(model, stream=True) for _ in range(2)]), threading.Event()

    def ask() -> None:
        while not over.is_set():
            began = time.time()
            answer = model.ask("Say yes.", 1, ANSWER_SECONDS)
            asked.short.append(Ask(began, time.time(), "" if answer.completed else answer.problem))

    short = threading.Thread(target=ask, daemon=True)
    for thread in (*asked.long, short):
        thread.start()
    try:
        assert all(one.generating.wait(GENERATING_SECONDS) for one in asked.long)
        yield asked
    finally:
        over.set()
        for one in asked.long:
            one.stop()
        for thread in (*asked.long, short):
            thread.join(LONG_ANSWER_SECONDS)


def evict(name: str) -> bool:
    """Ask for an eviction; return whether the budget lets it begin."""
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": dev.NAMESPACE}}
    try:
        live.API.request("POST", f"{live.CORE}/pods/{name}/eviction", json.dumps(body))
    except ApiError as error:
        if error.status == http.HTTPStatus.TOO_MANY_REQUESTS:
            return False
        raise
    return True


def wait_for_ready_pods(count: int) -> None:
    """A pod that goes is none of them."""
    wait_for(f"{count} ready Ray pods", lambda: sum(map(live.is_ready, live.pods(RAY))) == count, EVICTION_SECONDS)


@pytest.mark.faults
def test_changes_of_both_cut_no_answer_and_lose_no_request(model: Model) -> None:
    """One of each kind: of the proxies, of vLLM's flags, and of the image, which is built and replaces the Ray pods."""
    before = heads()
    assert before.keys() == {"deepseek", "deepseek-1"}
    changes: Sections = {}
    for section, key, value in (
        ("endpoint", "accessLog", True),
        ("serving", "maxModelLen", 2040),
        ("image", "rebuild", "for a change of engines that serve"),
    ):
        changes[section] = {**({"engines": 2, "tensorParallelSize": 1} if section == "serving" else {}), key: value}
        with asking(model) as asked:
            two_engines(**changes).up(on_output=stack.show)
        assert asked.problems == [], key
        print(f"{key}: {len(asked.short)} questions and {len(asked.long)} streams")  # noqa: T201
        assert (heads() == before) == (section != "image"), key


@pytest.mark.faults
def test_a_surge_of_a_single_engine_cuts_no_answer_and_loses_no_request(model_with_surge: Model) -> None:
    for length, engine in ((2040, "deepseek-surge"), (2032, "deepseek")):
        with asking(model_with_surge) as asked:
            one_with_surge(maxModelLen=length).up(on_output=stack.show)
        assert asked.problems == []
        print(f"surge: {len(asked.short)} questions and {len(asked.long)} streams")  # noqa: T201
        assert heads().keys() == {engine}


def streams(engine: str) -> int:
    """Return how many streams an engine computes; short questions come and go meanwhile."""
    url = live.service_url(engine.replace("deepseek", live.engine_service("deepseek"), 1))
    looks = [sum_of(fetch("GET", f"{url}/metrics", timeout=ANSWER_SECONDS), RUNNING) or 0 for _ in range(LOOKS)]
    return int(min(looks))


@pytest.mark.faults
def test_an_engine_that_is_killed_takes_no_requests_with_it_but_its_own(model: Model) -> None:
    with asking(model) as asked:
        computed = {engine: streams(engine) for engine in heads()}
        engine = max(computed, key=lambda name: computed[name])
        killed = live.send_signal(f"{live.HEAD},{RAY}={engine}", live.API_SERVER, signal.SIGKILL)
        wait_for("end of a stream", lambda: any(one.outcome for one in asked.long))
        wait_for_ready_pods(1)
        wait_for_ready_pods(2)
    assert len([one for one in asked.long if one.outcome]) == computed[engine]
    assert [ask for ask in asked.short if ask.problem and ask.began > killed + LOSS_SECONDS] == []


@pytest.mark.faults
def test_an_eviction_of_every_ray_pod_in_turn_cuts_no_answer_and_loses_no_request(model: Model) -> None:
    with asking(model) as asked:
        for engine in sorted(heads()):
            serving = [pod["metadata"] for pod in live.pods(RAY)]
            [leaves] = [pod["name"] for pod in serving if pod["labels"][RAY] == engine]
            [stays] = [pod["name"] for pod in serving if pod["labels"][RAY] != engine]
            assert evict(leaves)
            assert not evict(stays)
            wait_for_ready_pods(2)
    assert asked.problems == []
    assert len(asked.short) > len(heads())
