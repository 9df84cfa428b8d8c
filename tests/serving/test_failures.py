"""Faults of a serving stack: noticed and told within a stated bound, served again without a human, honest meanwhile.

Each test leaves the dev stack serving. What the full sweep measures goes into bench/results.json.
"""

from collections.abc import Iterator
from itertools import chain

import pytest
from completion import Model

from bench import results
from tests.sampling import swept
from tests.serving import faults, live
from tests.serving.conftest import Served
from tests.serving.faults import Fault
from tests.serving.observer import LongRequest, Observer
from tests.serving.recovery import from_fault_to_serving, is_one_vllm, said, wait_for

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


@pytest.mark.parametrize("fault", [case for kind in KINDS for case in swept(kind, sample=1)])
def test_a_fault_is_noticed_and_told_and_served_again(
    fault: Fault, observer: Observer, in_flight: list[LongRequest], measured: dict[str, dict[str, float]]
) -> None:
    detected, recovered = from_fault_to_serving(fault, observer, in_flight)
    wait_for("single vLLM", is_one_vllm, 60)
    measured["detection"][fault.name] = detected
    measured["recovery"][fault.name] = recovered


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
