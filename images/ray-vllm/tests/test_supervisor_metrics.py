"""What the supervisor tells a Prometheus while it serves, fails and hangs."""

import time
from typing import Any

import in_cluster
import pytest
from attempts import is_serving, when
from failure_history import KINDS, Failed
from own_job import is_first_pod
from stub_servers import StubModel, StubRay
from supervisor import Settings, Supervisor
from supervisor_metrics import SupervisorMetrics

pytestmark = pytest.mark.usefixtures("fast")


def values(supervisor: Supervisor) -> dict[str, float]:
    """Return the metrics as Prometheus would name them, without the common prefix."""
    found: dict[str, float] = {}
    for reading in supervisor.metrics.readings():
        for value, number in reading.values.items():
            name = reading.name.removeprefix("deepseek_supervisor_")
            found[f"{name}{{{reading.label}={value}}}" if reading.label else name] = number
    return found


def test_before_anything_happens_every_kind_of_failure_is_told_as_zero(environment: dict[str, str]) -> None:
    found = values(Supervisor(Settings.read(environment)))
    kinds = {f"failures_total{{kind={kind}}}": 0 for kind in KINDS}
    assert found == {"serving": 0, "first_start": 0, "attempts_total": 0, "silence_seconds": 0, **kinds}


def test_it_tells_that_it_serves_and_that_it_no_longer_does(environment: dict[str, str], ray: StubRay) -> None:
    supervisor = Supervisor(Settings.read(environment))
    seen: list[dict[str, float]] = []

    def look_and_end() -> None:
        seen.append(values(supervisor))
        ray.end_job("abc-1", "FAILED", 1)

    when(is_serving, look_and_end)
    with pytest.raises(Failed):
        supervisor.serve()
    [serving] = seen
    assert (serving["serving"], serving["attempts_total"]) == (1, 1)
    assert (values(supervisor)["serving"], values(supervisor)["silence_seconds"]) == (0, 0)


def test_silence_grows_while_a_server_that_serves_does_not_answer(
    environment: dict[str, str], model: StubModel, ray: StubRay
) -> None:
    supervisor = Supervisor(Settings.read(environment))
    seen: list[float] = []

    def hang() -> None:
        model.answer = None
        when(lambda: values(supervisor)["silence_seconds"] > 0.5, note_and_end)

    def note_and_end() -> None:
        seen.append(values(supervisor)["silence_seconds"])
        ray.end_job("abc-1", "FAILED", 1)

    when(is_serving, hang)
    with pytest.raises(Failed):
        supervisor.serve()
    assert seen
    assert seen[0] > 0.5


def test_each_failure_is_counted_by_its_kind(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = Supervisor(Settings.read(environment | {"JOIN_TIMEOUT_SECONDS": "0.1", "RAY_NODES": "2"}))
    pauses: list[float] = []
    sleep = time.sleep

    def pause(seconds: float) -> None:
        if seconds < 10:
            sleep(seconds)
            return
        pauses.append(seconds)
        if len(pauses) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", pause)
    with pytest.raises(KeyboardInterrupt):
        supervisor.run()
    assert values(supervisor)["failures_total{kind=nodes}"] == 2
    assert values(supervisor)["attempts_total"] == 2


@pytest.mark.parametrize(("status", "first"), [({}, 1), ({"failed": 1}, 0)])
def test_the_first_pod_of_a_job_starts_for_the_first_time_until_it_serves(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, status: dict[str, int], first: int
) -> None:
    job = {"metadata": {}, "spec": {}, "status": status}
    monkeypatch.setattr(in_cluster, "namespace", lambda: "deepseek")

    def own_job(*_: object, **__: object) -> dict[str, Any]:
        return job

    monkeypatch.setattr(in_cluster, "request", own_job)
    supervisor = Supervisor(Settings.read(environment | {"SERVING_JOB": "serve"}))
    seen: list[float] = []

    def until_it_serves() -> None:
        seen.append(values(supervisor)["first_start"])
        supervisor.metrics.begins_to_serve(lambda: 0.0)
        seen.append(values(supervisor)["first_start"])
        raise KeyboardInterrupt

    monkeypatch.setattr(supervisor, "serve", until_it_serves)
    with pytest.raises(KeyboardInterrupt):
        supervisor.run()
    assert seen == [first, 0]


def test_a_failed_attempt_ends_the_first_start() -> None:
    metrics = SupervisorMetrics()
    metrics.begins(first=True)
    metrics.has_failed("load")
    assert not metrics.first_start
    assert metrics.failures["load"] == 1


def test_a_job_that_cannot_be_read_has_no_first_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise in_cluster.ApiError(403, "forbidden")

    monkeypatch.setattr(in_cluster, "namespace", lambda: "deepseek")
    monkeypatch.setattr(in_cluster, "request", refuse)
    assert not is_first_pod("serve")
