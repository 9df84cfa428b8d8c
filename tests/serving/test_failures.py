"""Faults of a serving stack: noticed and told within a stated bound, served again without a human, honest meanwhile.

A real Prometheus has the stack's alerts: the right ones fire within their bound, and clear, and a real Alertmanager
tells of both. Each test leaves the dev stack serving. What the full sweep measures goes into bench/results.json.
"""

import time
from collections.abc import Iterator

import pytest
from completion import Model

from bench import results
from tests.monitoring.alertmanager import Alertmanager, running_alertmanager
from tests.monitoring.prometheus import Prometheus
from tests.sampling import swept
from tests.serving import faults, live
from tests.serving.conftest import Served
from tests.serving.faults import Fault
from tests.serving.monitored import ALERT_AFTER_SECONDS, monitored_stack
from tests.serving.observer import LongRequest, Observer
from tests.serving.recovery import SLOW_MACHINE_SECONDS, from_fault_to_serving, is_one_vllm, said, wait_for

ALERT_LAG_SECONDS = 15.0
"""Until Prometheus has read, evaluated and counted: a few of its intervals."""

HANG_TOLD_SECONDS = 135.0
"""90 s of silence, which the supervisor knows after a question that comes within 15 s and waits for 30 s."""

HANGS, RESTARTS = "ModelEngineHangs", "ModelEngineRestarts"
"""vLLM may be silent for 90 s before a lost pod is noticed; ends of the last hour are counted until that is over."""

MOST_ENDS = 2.5
CASES = [*swept(faults.ENDED, sample=1), *swept(faults.LOST_PODS, sample=1), *swept(faults.FROZEN, sample=0)]
"""A hang takes five minutes, so `make test` has none here: images/ray-vllm/tests/test_hangs.py plays them."""


@pytest.fixture(scope="module")
def measured() -> Iterator[dict[str, dict[str, float]]]:
    """Seconds by fault, to detect it and to serve again; written where every fault was measured."""
    figures: dict[str, dict[str, float]] = {"detection": {}, "recovery": {}}
    yield figures
    if len(figures["recovery"]) == len(CASES) + 1:
        results.add(figures)


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    with running_alertmanager(tmp_path_factory.mktemp("alertmanager")) as running:
        yield running


@pytest.fixture(scope="module")
def prometheus(
    served: Served, alertmanager: Alertmanager, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    assert served.outputs["endpoint"]
    with monitored_stack(tmp_path_factory.mktemp("prometheus"), [alertmanager.address]) as running:
        yield running


@pytest.fixture
def model(served: Served) -> Model:
    return Model(live.service_url(served.outputs["service"]), served.outputs["servedModels"][0])


def is_quiet(prometheus: Prometheus) -> bool:
    """Whether no alert fires but that which counts the ends of the last hour."""
    return not prometheus.firing() - {RESTARTS}


def check_alerts(fault: Fault, since: float, prometheus: Prometheus, alertmanager: Alertmanager) -> None:
    """Find the fault's alerts fired in time and no others; and cleared, now that the model is served, and both told."""
    wait_for("end of the alerts", lambda: is_quiet(prometheus), ALERT_AFTER_SECONDS + SLOW_MACHINE_SECONDS)
    fired = prometheus.fired(since)
    others = {HANGS, RESTARTS} if fault in faults.LOST_PODS else {RESTARTS}
    assert fault.alerts <= fired.keys() <= fault.alerts | others
    bounds = {"ModelNotServed": fault.detected_within + ALERT_AFTER_SECONDS, HANGS: HANG_TOLD_SECONDS}
    for name in fault.alerts:
        assert fired[name] - since < bounds[name] + ALERT_LAG_SECONDS + SLOW_MACHINE_SECONDS, name
    wait_for("word of the end of the alerts", lambda: alertmanager.names("resolved") >= fault.alerts, ALERT_LAG_SECONDS)
    assert alertmanager.names("firing") >= fault.alerts
    [ends] = prometheus.query("sum(increase(deepseek_supervisor_failures_total[1h]))")
    assert (RESTARTS in prometheus.firing()) == (float(ends["value"][1]) > MOST_ENDS)


@pytest.mark.parametrize("fault", CASES)
def test_a_fault_is_noticed_and_told_and_served_again(
    fault: Fault,
    prometheus: Prometheus,
    alertmanager: Alertmanager,
    observer: Observer,
    in_flight: list[LongRequest],
    measured: dict[str, dict[str, float]],
) -> None:
    wait_for("Prometheus without alerts", lambda: is_quiet(prometheus))
    alertmanager.told.clear()
    since = time.time()
    detected, recovered = from_fault_to_serving(fault, observer, in_flight)
    wait_for("single vLLM", is_one_vllm, 60)
    check_alerts(fault, since, prometheus, alertmanager)
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
