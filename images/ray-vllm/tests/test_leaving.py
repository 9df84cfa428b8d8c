"""A Ray pod of one of several engines is evicted: it waits until its engine has ended its answers."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import in_cluster
import leaving
import leaving_pods
import own_job
import pytest
import worker_readiness
from attempts import is_serving, told, when
from door_agent import DRAIN, READY, DoorAgent
from leaving import Engine, wait_until_stopped
from leaving_pods import Leaving, LeavingPods
from stub_servers import StubModel, StubRay
from supervisor import Settings, Supervisor

ENOUGH = 30.0


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(leaving_pods, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(leaving_pods, "LOOK_SECONDS", 0.0)


@pytest.fixture
def vllm() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def pods(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Ray pods by name, and whether they have been told to go; the API server answers for those of one cluster."""
    known: dict[str, bool] = {}

    def request(_method: str, path: str, _body: Any = None, **_: float) -> dict[str, Any]:
        if "/pods?" in path:
            assert path == "/api/v1/namespaces/n/pods?labelSelector=ray.io/cluster%3Ddeepseek-1"
            return {"items": [{"metadata": named(name, going=going)} for name, going in known.items()]}
        return {"metadata": {"name": "serve", "uid": "u", "annotations": {own_job.DRAIN_TIMEOUT: "10"}}, "spec": {}}

    def named(name: str, *, going: bool) -> dict[str, str]:
        return {"name": name, **({"deletionTimestamp": "now"} if going else {})}

    monkeypatch.setenv("POD_NAMESPACE", "n")
    monkeypatch.setattr(in_cluster, "request", request)
    return known


def address(listener: socket.socket) -> tuple[str, int]:
    host, port = listener.getsockname()[:2]
    return host, port


def waiting(engine: Engine, patience: float) -> tuple[threading.Thread, list[str]]:
    why: list[str] = []
    thread = threading.Thread(target=lambda: why.append(wait_until_stopped(engine, patience)), daemon=True)
    thread.start()
    return thread, why


def test_it_waits_while_the_supervisor_drains(vllm: socket.socket) -> None:
    agent = DoorAgent(0)
    agent.drain()
    thread, why = waiting(Engine(address(vllm), ("127.0.0.1", agent.port)), patience=0.1)
    thread.join(1.0)
    assert thread.is_alive()
    vllm.close()
    thread.join(ENOUGH)
    assert why == ["vLLM does not run"]


def test_it_waits_no_longer_for_a_supervisor_that_does_not_drain(vllm: socket.socket) -> None:
    agent = DoorAgent(0)
    why = wait_until_stopped(Engine(address(vllm), ("127.0.0.1", agent.port)), patience=0.2)
    assert why.startswith("vLLM still runs")


def test_it_waits_no_longer_for_a_supervisor_that_is_gone(vllm: socket.socket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = address(listener)
    assert wait_until_stopped(Engine(address(vllm), nobody), patience=0.2).startswith("vLLM still runs")


def test_where_no_vllm_runs_the_pod_goes_at_once(vllm: socket.socket) -> None:
    agent = DoorAgent(0)
    agent.drain()
    closed = address(vllm)
    vllm.close()
    began = time.monotonic()
    assert wait_until_stopped(Engine(closed, ("127.0.0.1", agent.port)), patience=ENOUGH) == "vLLM does not run"
    assert time.monotonic() - began < leaving.TIMEOUT_SECONDS


def test_a_worker_is_ready_while_the_service_of_its_engine_has_an_address(vllm: socket.socket) -> None:
    host, port = address(vllm)
    assert worker_readiness.problem(host, port) == ""
    vllm.close()
    assert worker_readiness.problem(host, port).startswith(f"{host}:{port} takes no connection")


def test_pods_that_have_not_been_told_to_go_are_left_alone(pods: dict[str, bool]) -> None:
    pods |= {"head": False, "worker": False}
    LeavingPods("deepseek-1").check()
    pods["worker"] = True
    with pytest.raises(Leaving, match="worker"):
        LeavingPods("deepseek-1").check()
    LeavingPods("").check()


def test_an_api_server_that_does_not_answer_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise in_cluster.ApiError(0, "no connection")

    monkeypatch.setenv("POD_NAMESPACE", "n")
    monkeypatch.setattr(in_cluster, "request", refuse)
    LeavingPods("deepseek-1").check()


def test_a_pod_that_does_not_go_is_waited_for_within_a_bound(pods: dict[str, bool]) -> None:
    pods["worker"] = True
    assert not LeavingPods("deepseek-1").wait_until_gone(["worker"], 0.1)
    when(lambda: True, pods.clear)
    assert LeavingPods("deepseek-1").wait_until_gone(["worker"], ENOUGH)


@pytest.mark.usefixtures("fast")
def test_vllm_is_drained_and_serves_again_when_the_pod_is_back(
    ray: StubRay,
    model: StubModel,
    pods: dict[str, bool],
    environment: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    more = {"RAY_CLUSTER": "deepseek-1", "SERVING_JOB": "serve", "AGENT_PORT": "0"}
    supervisor = Supervisor(Settings.read(environment | more))
    agent = supervisor.agent
    assert agent
    pods |= {"head": False, "worker": False}
    heard: list[bytes] = []

    def evict() -> None:
        model.running = 1
        pods["worker"] = True
        until(lambda: ask(agent) == DRAIN)
        heard.append(ask(agent))
        assert ray.stopped == []
        model.running = 0
        until(lambda: ray.stopped != [])
        time.sleep(0.1)
        heard.append(ask(agent))
        pods["worker"] = False

    when(is_serving, evict)
    with pytest.raises(Leaving) as leaves:
        supervisor.serve()
    supervisor.make_way(leaves.value.pods)
    assert heard == [DRAIN, DRAIN]
    assert ask(agent) == READY
    names = [event.name for event in told(capsys)]
    assert names[names.index("leaving") :] == ["leaving", "draining", "drained", "stopping"]
    assert "failed" not in names


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ENOUGH
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def ask(agent: DoorAgent) -> bytes:
    with socket.create_connection(("127.0.0.1", agent.port), timeout=5) as connection:
        return connection.recv(64)
