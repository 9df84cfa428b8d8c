"""How a stack that serves comes back after a fault: noticed and told within a stated bound, and honest meanwhile."""

import subprocess
import time
from collections.abc import Callable, Sequence

from tests.serving import faults, live
from tests.serving.faults import Fault
from tests.serving.observer import LongRequest, Observer

SLOW_MACHINE_SECONDS = 30.0
"""Over every stated bound: two CPUs for a whole cluster, its model and this test."""

ROUTE_SECONDS = 5.0
"""Between a ready endpoint and the packet filter's rules for it."""

LOOK_SECONDS = 30.0
"""For the look that follows an answer, which only a ready endpoint can give: looks come every second."""

RECOVERY_SECONDS = 900.0
STOP_SECONDS = 10.0
"""What a vLLM that is stopped gets before it is killed (vllm_job.STOP_GRACE_SECONDS)."""


def wait_for(what: str, condition: Callable[[], object], seconds: float = RECOVERY_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"no {what} after {seconds:.0f} s"
        time.sleep(1)


def said(name: str, since: float) -> float | None:
    """Return when a supervisor first said something after a time."""
    return next((at for at, event in live.story(since) if event.name == name), None)


def is_one_vllm(engine: str = live.ENGINE, copies: int = 1) -> bool:
    """Whether one vLLM holds GPUs, with its engine for each copy of the attention and its two ranks.

    No, when a busy machine does not say.
    """
    ray = live.ray()
    jobs = [job for job in ray.jobs() if job.running]
    try:
        processes = [live.count(process) for process in (live.API_SERVER, engine, live.RANK)]
    except subprocess.CalledProcessError:
        return False
    return (len(jobs), len(ray.placement_groups_with_gpus()), processes) == (1, copies, [1, copies, 2])


def from_fault_to_serving(fault: Fault, observer: Observer, in_flight: Sequence[LongRequest]) -> tuple[float, float]:
    """Make a fault; return after how many seconds it was detected, and served again."""
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
    return round(detected - at, 1), round(back.ended - at, 1)
