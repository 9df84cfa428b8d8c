from typing import Any

import in_cluster
import pytest
import serving_events

JOB = {"metadata": {"name": "serve-1", "namespace": "n", "uid": "u"}}


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, Any]]:
    made: list[tuple[str, str, Any]] = []

    def request(method: str, path: str, body: Any = None, timeout: float = 0) -> dict[str, Any]:
        made.append((method, path, body))
        assert timeout
        return JOB

    monkeypatch.setenv("POD_NAMESPACE", "n")
    monkeypatch.setattr(in_cluster, "request", request)
    return made


def test_a_failure_is_a_warning_on_the_job(requests: list[tuple[str, str, Any]]) -> None:
    serving_events.tell("serve-1", serving_events.FAILED, "vLLM was killed by SIGKILL" + "!" * 2000)
    [(_, job, _), (method, path, event)] = requests
    assert (job, method, path) == ("/apis/batch/v1/namespaces/n/jobs/serve-1", "POST", "/api/v1/namespaces/n/events")
    assert (event["type"], event["reason"], event["involvedObject"]["uid"]) == ("Warning", "ServingFailed", "u")
    assert event["message"].startswith("vLLM was killed")
    assert len(event["message"]) == 1000


def test_serving_is_no_warning(requests: list[tuple[str, str, Any]]) -> None:
    serving_events.tell("serve-1", serving_events.SERVING, "answered")
    [_, (_, _, event)] = requests
    assert event["type"] == "Normal"


def test_without_a_job_nothing_is_asked(requests: list[tuple[str, str, Any]]) -> None:
    serving_events.tell("", serving_events.FAILED, "vLLM ended")
    assert requests == []


def test_an_event_that_cannot_be_made_is_said_in_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def forbid(*_: object, **__: object) -> dict[str, Any]:
        raise in_cluster.ApiError(403, "forbidden")

    monkeypatch.setenv("POD_NAMESPACE", "n")
    monkeypatch.setattr(in_cluster, "request", forbid)
    serving_events.tell("serve-1", serving_events.FAILED, "vLLM ended")
    assert capsys.readouterr().out == "supervisor: event_lost reason=forbidden\n"
