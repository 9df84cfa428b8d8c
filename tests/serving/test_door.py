"""Two pods of HAProxy stand before the model: it is reached through them alone, and their end cuts no answer."""

import http.client
import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from completion import Model

from local import boot, dev, stack
from tests.serving import live
from tests.serving.conftest import Served
from tests.serving.connections import Pod, pods, settled
from tests.serving.dev_stack import changed
from tests.serving.observer import LONG_ANSWER_SECONDS, LongRequest

DEPLOYMENT = "deployment/deepseek-endpoint"
ELSEWHERE = "door-test"
MODEL_PORT, PROBE_PORT = 8000, 8404
GENERATING_SECONDS = 120.0
ANSWER_SECONDS = 60.0
ROLLOUT_SECONDS = 300
LEAST_ASKED = 100
ASK_UNTIL_TOLD = """
import json, pathlib, sys, time, urllib.request

asked, failures = 0, []
while not pathlib.Path("/tmp/enough").exists():
    asked += 1
    try:
        urllib.request.urlopen(sys.argv[1], timeout=5).close()
    except OSError as error:
        failures.append(f"{asked}: {error!r}")
    time.sleep(0.2)
print(json.dumps([asked, *failures]))
"""
AFTERWARDS_SECONDS = 15.0
"""Until the last of the old proxies has stopped taking connections."""


def test_what_is_not_openais_is_answered_by_a_proxy(url: str) -> None:
    assert status(url, "/metrics") == http.HTTPStatus.NOT_FOUND


@pytest.mark.parametrize(
    ("answers", "status"), [(129, http.HTTPStatus.BAD_REQUEST), (16384, http.HTTPStatus.SERVICE_UNAVAILABLE)]
)
def test_a_request_for_too_many_answers_is_refused_and_others_are_served(
    answers: int, status: http.HTTPStatus, served: Served, url: str
) -> None:
    model = Model(url, served.outputs["servedModels"][0])
    body = json.dumps({"model": model.name, "prompt": "x", "n": answers, "max_tokens": 100})
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=ANSWER_SECONDS)
    connection.request("POST", "/v1/completions", body, {"Content-Type": "application/json"})
    assert connection.getresponse().status == status, "more than vLLM's queue holds, it is not even looked at"
    assert problem_of_an_answer(model) == ""


@pytest.mark.usefixtures("served")
def test_nobody_but_proxies_supervisor_and_gate_reaches_the_model() -> None:
    head = Pod(live.pod_name(live.HEAD), dev.NAMESPACE)
    proxies = [pod["status"]["podIP"] for pod in live.pods(live.PROXY)]
    assert len(proxies) == 2
    targets = {
        "model": f"{head.address}:{MODEL_PORT}",
        **{f"proxy {number}": f"{address}:{MODEL_PORT}" for number, address in enumerate(proxies)},
        **{f"probe {number}": f"{address}:{PROBE_PORT}" for number, address in enumerate(proxies)},
    }
    gate = {
        "app.kubernetes.io/name": "deepseek",
        "app.kubernetes.io/instance": dev.STACK,
        "app.kubernetes.io/component": "gate",
    }
    only_proxies = {name for name in targets if name.startswith("proxy")}
    try:
        with (
            pods(ELSEWHERE, {"stranger": {}}) as strangers,
            pods(dev.NAMESPACE, {"door-test-neighbour": {}, "door-test-gate": gate}) as neighbours,
        ):
            asks = neighbours.pop("door-test-gate")
            for pod in (*strangers.values(), *neighbours.values()):
                assert settled(pod, targets, only_proxies) == only_proxies, pod.name
            assert settled(asks, targets, {"model", *only_proxies}) == {"model", *only_proxies}
    finally:
        live.API.delete(f"/api/v1/namespaces/{ELSEWHERE}")
    supervisor = Pod(live.pod_name(live.SUPERVISOR), dev.NAMESPACE)
    assert settled(supervisor, targets, {"model"}) == {"model"}


@pytest.mark.faults
def test_proxies_that_go_and_come_lose_no_request_of_another_pod(served: Served) -> None:
    address = urlsplit(live.service_url(served.outputs["service"])).netloc
    with pods(ELSEWHERE, {"client": {}}) as clients, ThreadPoolExecutor() as pool:
        client = clients["client"]
        assert settled(client, {"door": address}, {"door"}) == {"door"}
        asking = pool.submit(client.run, ASK_UNTIL_TOLD, f"http://{address}/health")
        try:
            for proxy in (False, True):
                changed({"deepseek:endpoint": {"proxy": proxy}}).up(on_output=stack.show)
                assert len(live.pods(live.PROXY)) == (2 if proxy else 0)
        finally:
            client.run("import pathlib; pathlib.Path('/tmp/enough').touch()")
        asked, *failures = json.loads(asking.result())
    live.API.delete(f"/api/v1/namespaces/{ELSEWHERE}")
    assert failures == []
    assert asked > LEAST_ASKED


def test_a_rolling_restart_of_the_proxies_cuts_no_answer(served: Served) -> None:
    model = Model(live.service_url(served.outputs["service"]), served.outputs["servedModels"][0])
    before = {pod["metadata"]["name"] for pod in live.pods(live.PROXY)}
    under_way = [LongRequest(model, stream=stream) for stream in (True, True, False)]
    for request in under_way:
        request.start()
    assert all(request.generating.wait(GENERATING_SECONDS) for request in under_way[:2])
    kubectl = boot.kubectl(dev.NAMESPACE)
    subprocess.run([*kubectl, "rollout", "restart", DEPLOYMENT], check=True)
    problems: list[str] = []
    with subprocess.Popen([*kubectl, "rollout", "status", DEPLOYMENT, f"--timeout={ROLLOUT_SECONDS}s"]) as rollout:
        while rollout.poll() is None:
            problems.append(problem_of_an_answer(model))
    until = time.monotonic() + AFTERWARDS_SECONDS
    while time.monotonic() < until:
        problems.append(problem_of_an_answer(model))
    for request in under_way:
        request.stop()
    for request in under_way:
        request.join(LONG_ANSWER_SECONDS)
    assert rollout.returncode == 0
    assert not before & {pod["metadata"]["name"] for pod in live.pods(live.PROXY)}
    assert [request.outcome for request in under_way] == ["", "", ""]
    assert set(problems) == {""}


def problem_of_an_answer(model: Model) -> str:
    answer = model.ask("Say yes.", 1, ANSWER_SECONDS)
    return "" if answer.completed else answer.problem


def status(url: str, path: str) -> int:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()
