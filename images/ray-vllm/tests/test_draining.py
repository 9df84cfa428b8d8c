"""SIGTERM while requests are under way: the proxies are told, the requests end, then vLLM does."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable

import draining
import in_cluster
import own_job
import pytest
import supervisor
from attempts import is_serving, told, when
from door_agent import DRAIN, READY, DoorAgent
from draining import drain
from kube_objects import KubeObject
from stub_servers import StubModel, StubRay

ENOUGH = 60.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(draining, "NOTICE_SECONDS", 0.2)


def ask(agent: DoorAgent, host: str = "127.0.0.1") -> bytes:
    with socket.create_connection((host, agent.port), timeout=5) as connection:
        return connection.recv(64)


def in_background(action: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    return thread


def test_it_waits_for_running_and_waiting_requests(model: StubModel, capsys: pytest.CaptureFixture[str]) -> None:
    model.running, model.waiting = 2, 1
    waiting = in_background(lambda: drain(model.url, ENOUGH, None))
    time.sleep(0.3)
    assert waiting.is_alive()
    model.running = 0
    time.sleep(0.3)
    assert waiting.is_alive(), "one waits"
    model.waiting = 0
    waiting.join(ENOUGH)
    assert not waiting.is_alive()
    first, last = told(capsys)
    assert (first.name, first.fields["requests"]) == ("draining", "3")
    assert (last.name, last.fields["requests"]) == ("drained", "0")


def test_it_waits_no_longer_than_it_may(model: StubModel, capsys: pytest.CaptureFixture[str]) -> None:
    model.running = 2
    began = time.monotonic()
    drain(model.url, 0.5, None)
    assert time.monotonic() - began >= 0.5
    assert told(capsys)[-1].fields["requests"] == "2"


def test_without_time_it_does_not_ask(model: StubModel) -> None:
    model.running = 2
    drain(model.url, 0, None)
    assert model.requests == []


def test_a_server_that_is_gone_has_no_requests(model: StubModel, capsys: pytest.CaptureFixture[str]) -> None:
    model.close()
    drain(model.url, ENOUGH, None)
    assert told(capsys) == []


def test_a_server_that_says_nothing_is_given_up_before_the_bound(
    model: StubModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "LOST_SECONDS", 0.3)
    model.turns_away = True
    waiting = in_background(lambda: drain(model.url, 10 * ENOUGH, None))
    waiting.join(ENOUGH)
    assert not waiting.is_alive()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_whoever_asks_learns_when_it_takes_no_more_requests(host: str) -> None:
    agent = DoorAgent(0)
    assert ask(agent, host) == READY
    agent.drain()
    assert ask(agent, host) == DRAIN


def test_proxies_have_time_to_hear_of_it(model: StubModel) -> None:
    agent = DoorAgent(0)
    ask(agent)
    began = time.monotonic()
    drain(model.url, ENOUGH, agent)
    assert time.monotonic() - began >= draining.NOTICE_SECONDS


def test_nobody_waits_for_proxies_where_there_are_none(model: StubModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "NOTICE_SECONDS", 10 * ENOUGH)
    waiting = in_background(lambda: drain(model.url, 20 * ENOUGH, DoorAgent(0)))
    waiting.join(ENOUGH)
    assert not waiting.is_alive()


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("goes_on", [False, True])
def test_sigterm_lets_requests_end_before_vllm_is_stopped(
    goes_on: bool,  # noqa: FBT001
    ray: StubRay,
    model: StubModel,
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The Job says how long they may take. When another pod follows, vLLM goes on and the proxies are told nothing."""
    metadata = {"name": "serve", "namespace": "n", "uid": "u", "annotations": {own_job.DRAIN_TIMEOUT: "10"}}
    job: KubeObject = {"metadata": metadata | ({} if goes_on else {"deletionTimestamp": "now"}), "spec": {}}

    def request(*_: object, **__: object) -> KubeObject:
        return job

    monkeypatch.setattr(in_cluster, "request", request)
    agents: list[DoorAgent] = []

    def listening(port: int) -> DoorAgent:
        agents.append(DoorAgent(port))
        return agents[0]

    monkeypatch.setattr(supervisor, "DoorAgent", listening)
    for name, value in (environment | {"SERVING_JOB": "serve", "POD_NAMESPACE": "n", "AGENT_PORT": "0"}).items():
        monkeypatch.setenv(name, value)
    stopped_while: list[int] = []
    stop = ray._stop  # pyright: ignore[reportPrivateUsage]

    def noted(job_id: str) -> tuple[int, object]:
        stopped_while.append(model.running)
        return stop(job_id)

    monkeypatch.setattr(ray, "_stop", noted)

    def terminate() -> None:
        model.running = 1
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.5)
        model.running = 0

    handler = signal.getsignal(signal.SIGTERM)
    when(is_serving, terminate)
    try:
        with pytest.raises(SystemExit):
            supervisor.main()
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert told(capsys)[-1].name == ("left" if goes_on else "stopped")
    assert stopped_while == ([] if goes_on else [0])
    assert ask(agents[0]) == (READY if goes_on else DRAIN)
