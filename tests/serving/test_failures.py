"""Faults of a serving stack: noticed and told within a stated bound, served again without a human, honest meanwhile.

Each test leaves the dev stack serving. What the full sweep measures goes into bench/results.json.
"""

import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import chain

import pytest
from completion import Model

from bench import results
from tests.sampling import swept
from tests.serving import faults, live
from tests.serving.conftest import Served
from tests.serving.faults import Fault
from tests.serving.observer import LongRequest, Observer

SLOW_MACHINE_SECONDS = 30.0
"""Over every stated bound: two CPUs for a whole cluster, its model and this test."""

ROUTE_SECONDS = 5.0
"""Between a ready endpoint and the packet filter's rules for it."""

LOOK_SECONDS = 30.0
"""For the look that follows an answer, which only a ready endpoint can give: looks come every second."""

RECOVERY_SECONDS = 900.0
GENERATING_SECONDS = 120.0
STOP_SECONDS = 10.0
"""What a vLLM that is stopped gets before it is killed (vllm_job.STOP_GRACE_SECONDS)."""

KINDS = (faults.ENDED, faults.LOST_PODS, faults.FROZEN)
"""Of each kind `make test` makes one."""


@pytest.fixture(scope="module")
def measured() -> Iterator[dict[str, dict[str, float]]]:
    """Seconds by fault, to detect it and to serve again; written where every fault was measured."""
    figures: dict[str, dict[str, float]] = {"detection": {}, "recovery": {}}
    yield figures
    if len(figures["recovery"]) == len(list(chain(*KINDS))) + 1:
        results.add(figures)


@pytest.fixture
def model(served: Served) -> Model:
    return Model(live.service_url(served.outputs["service"]), served.outputs["servedModels"][0])


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


def wait_for(what: str, condition: Callable[[], object], seconds: float = RECOVERY_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"no {what} after {seconds:.0f} s"
        time.sleep(1)


def said(name: str, since: float) -> float | None:
    """Return when a supervisor first said something after a time."""
    return next((at for at, event in live.story(since) if event.name == name), None)


def is_one_vllm() -> bool:
    """Whether one vLLM holds GPUs, with the two ranks that belong to it; no, when a busy machine does not say."""
    ray = live.ray()
    jobs = [job for job in ray.jobs() if job.running]
    try:
        processes = [live.count(process) for process in (live.API_SERVER, live.ENGINE, live.RANK)]
    except subprocess.CalledProcessError:
        return False
    return (len(jobs), len(ray.placement_groups_with_gpus()), processes) == (1, 1, [1, 1, 2])


@pytest.mark.parametrize("fault", [case for kind in KINDS for case in swept(kind, sample=1)])
def test_a_fault_is_noticed_and_told_and_served_again(
    fault: Fault, observer: Observer, in_flight: list[LongRequest], measured: dict[str, dict[str, float]]
) -> None:
    at = fault.make()
    if fault in faults.FROZEN:
        wait_for("question that is not answered", lambda: observer.first_failure(at))
        assert live.is_healthy(), "vLLM's own health check notices by itself: the fault is another"
    wait_for("answer after the fault", lambda: observer.answered_again(at))
    wait_for("word that it serves", lambda: said("serving", at) and live.serving_events("Serving", at), 60)
    wait_for("look at a ready endpoint", lambda: observer.ready_again(at), LOOK_SECONDS)

    story = live.story(at)
    detected = next(when for when, event in story if event.name in ("stopping", "failed"))
    assert detected - at < fault.detected_within + SLOW_MACHINE_SECONDS
    [failed] = [event for _, event in story if event.name == "failed"]
    assert failed.fields["kind"] == fault.kind
    assert any(failed.fields["reason"] in message for message in live.serving_events("ServingFailed", at))

    failure, unready = observer.first_failure(at), observer.unready(at)
    back, ready = observer.answered_again(at), observer.ready_again(at)
    assert failure
    assert unready
    assert back
    assert ready
    assert unready.at - failure.began < fault.unready_within + SLOW_MACHINE_SECONDS
    lies = [ask for ask in observer.asks if ask.began > ready.at + ROUTE_SECONDS and ask.problem]
    assert not lies, "it was called ready again and did not answer"

    for request in in_flight:
        assert not request.complete
        assert 0 < request.ended - at < fault.detected_within + STOP_SECONDS + SLOW_MACHINE_SECONDS, request.outcome
    wait_for("single vLLM", is_one_vllm, 60)

    measured["detection"][fault.name] = round(detected - at, 1)
    measured["recovery"][fault.name] = round(back.ended - at, 1)


@pytest.mark.parametrize("fault", swept([faults.SUPERVISOR_LOST], sample=1))
def test_serving_goes_on_without_its_supervisor(
    fault: Fault, observer: Observer, in_flight: list[LongRequest], measured: dict[str, dict[str, float]]
) -> None:
    job_before = [job.submission_id for job in live.ray().jobs() if job.running]
    at = fault.make()
    wait_for("supervisor that takes over", lambda: said("serving", at))

    taken_over = said("took_over", at)
    assert taken_over
    assert [job.submission_id for job in live.ray().jobs() if job.running] == job_before
    assert [request.outcome for request in in_flight if request.ended] == []
    assert not observer.first_failure(at)
    assert not observer.unready(at)
    wait_for("single vLLM", is_one_vllm, 60)
    measured["detection"][fault.name] = round(taken_over - at, 1)
    measured["recovery"][fault.name] = 0.0
