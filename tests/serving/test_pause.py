"""A pause on real pods: answers under way end, others are told why there is none, and the model serves again."""

import http.client
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
from completion import Model
from pulumi import automation

from local import dev, stack
from tests.serving import live
from tests.serving.conftest import Served
from tests.serving.dev_stack import changed
from tests.serving.observer import LONG_ANSWER_SECONDS, LongRequest

DRAIN_TIMEOUT = "10m"
GENERATING_SECONDS = 120.0
ENDING_SECONDS = 300.0
"""Until Pulumi has told the serving Job to end."""


def with_engines(engines: int) -> automation.Stack:
    """Return the dev stack with so many engines and time for answers to end."""
    keys = {"rollout": {"drainTimeout": DRAIN_TIMEOUT}, "serving": {"engines": engines}}
    configured = stack.configuration(dev.STACK)
    return changed({f"deepseek:{name}": configured.get(f"deepseek:{name}", {}) | of for name, of in keys.items()})


@pytest.fixture
def model(served: Served) -> Iterator[Model]:
    """The model, whose answers have time to end; then the stack is as its file says."""
    with_engines(1).up(on_output=stack.show)
    yield Model(live.service_url(served.outputs["service"]), served.outputs["servedModels"][0])
    changed().up(on_output=stack.show)


def jobs_that_work() -> dict[str, str]:
    """Return the identities of the Jobs that build and download."""
    jobs: list[dict[str, Any]] = live.API.request("GET", f"/apis/batch/v1{live.CORE.removeprefix('/api/v1')}/jobs")[
        "items"
    ]
    names = {job["metadata"]["name"]: job["metadata"]["uid"] for job in jobs}
    return {name: uid for name, uid in names.items() if not name.startswith(("serve-", "gate-"))}


def wait_until_vllm_is_told_to_end() -> None:
    until = time.monotonic() + ENDING_SECONDS
    while live.pods(live.SUPERVISOR):
        assert time.monotonic() < until
        time.sleep(0.1)


def answer_of(endpoint: str) -> tuple[http.client.HTTPResponse, str]:
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=30)
    try:
        connection.request("GET", "/v1/models")
        response = connection.getresponse()
        return response, response.read().decode()
    finally:
        connection.close()


@pytest.mark.faults
def test_a_pause_lets_answers_end_and_the_model_serves_again_without_a_build_or_a_download(model: Model) -> None:
    work = jobs_that_work()
    under_way = [LongRequest(model, stream=stream) for stream in (True, True, False)]
    for request in under_way:
        request.start()
    assert all(request.generating.wait(GENERATING_SECONDS) for request in under_way[:2])
    with ThreadPoolExecutor() as pool:
        pausing = pool.submit(with_engines(0).up, on_output=stack.show)
        wait_until_vllm_is_told_to_end()
        for request in under_way:
            request.stop()
        for request in under_way:
            request.join(LONG_ANSWER_SECONDS)
        pausing.result()
    assert [request.outcome for request in under_way] == ["", "", ""]
    assert live.pods(live.HEAD) == live.pods(live.WORKER) == []
    response, text = answer_of(model.endpoint)
    assert response.status == http.HTTPStatus.SERVICE_UNAVAILABLE
    assert response.headers["Retry-After"] == "60"
    assert "paused" in text
    with_engines(1).up(on_output=stack.show)
    assert model.ask("Do you serve again?", 1, 60).completed
    assert jobs_that_work() == work
