"""CUDA errors that come from one node again and again are told with the node's name."""

from typing import Any

import in_cluster
import pytest
import serving_events
from attempts import is_serving, told, when
from engine_log import EngineLog, GpuError, gpu_error
from failing_node import FailingNode
from failure_history import Failed
from ray_api import RayApi
from stub_servers import StubModel, StubRay
from supervisor import Settings, Supervisor

ECC = "CUDA error: uncorrectable ECC error encountered"
ON_A_WORKER = f"\x1b[36m(RayWorkerProc pid=71, ip=10.0.0.2)\x1b[0m (Worker_TP3 pid=71) ERROR [x.py:5] {ECC}"
ON_THE_HEAD = f"\x1b[36m(RayWorkerProc pid=72)\x1b[0m (Worker_TP0 pid=72) ERROR [x.py:5] torch.AcceleratorError: {ECC}"
PODS = {"items": [{"spec": {"nodeName": f"gpu-{n}"}, "status": {"podIP": f"10.0.0.{n}"}} for n in (1, 2)]}


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Messages of the Events; the API server tells two pods."""
    made: list[str] = []

    def request(method: str, path: str, body: Any = None, **_: float) -> dict[str, Any]:
        if path == "/api/v1/namespaces/n/pods?labelSelector=ray.io/cluster":
            return PODS
        if method == "POST" and body["reason"] == serving_events.GPU_ERRORS:
            assert body["type"] == "Warning"
            made.append(body["message"])
        return {"metadata": {"name": "serve-1", "namespace": "n", "uid": "u", "annotations": {}}, "spec": {}}

    monkeypatch.setenv("POD_NAMESPACE", "n")
    monkeypatch.setattr(in_cluster, "request", request)
    return made


@pytest.fixture
def node(ray: StubRay) -> FailingNode:
    ray.routes[("GET", "/api/v0/nodes")] = lambda _: (
        200,
        {
            "data": {
                "result": {"result": [ray.node("10.0.0.2"), {**ray.node("10.0.0.1"), "is_head_node": True}]},
            }
        },
    )
    return FailingNode(RayApi(ray.url, "token"), "serve-1")


@pytest.mark.parametrize(
    ("line", "address"),
    [(ON_A_WORKER, "10.0.0.2"), (ON_THE_HEAD, ""), (ON_A_WORKER.replace("10.0.0.2", "fd00::2"), "fd00::2")],
)
def test_ray_says_on_which_pod_a_rank_met_it(line: str, address: str) -> None:
    assert gpu_error(line) == GpuError(address, ECC)


@pytest.mark.parametrize(
    "line",
    [
        f"(DPMoEEngineCoreActor pid=9) ERROR [core.py:5] RuntimeError: Worker failed with error '{ECC}'",
        "(RayWorkerProc pid=71) torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB",
        "(RayWorkerProc pid=71) RuntimeError: CUDA error: out of memory",
        "(RayWorkerProc pid=71) INFO fine",
    ],
)
def test_what_others_repeat_and_too_little_memory_say_nothing_of_a_node(line: str) -> None:
    assert gpu_error(line) is None


def test_the_first_error_of_an_attempt_counts() -> None:
    log = EngineLog()
    for line in ("fine", ON_A_WORKER, ON_THE_HEAD):
        log.read(line)
    assert log.gpu_error == GpuError("10.0.0.2", ECC)


@pytest.mark.parametrize(("address", "name"), [("10.0.0.2", "gpu-2"), ("", "gpu-1"), ("10.0.0.9", "10.0.0.9")])
def test_the_third_in_a_row_names_the_node(node: FailingNode, events: list[str], address: str, name: str) -> None:
    for _ in range(2):
        node.note(GpuError(address, ECC))
    assert events == []
    node.note(GpuError(address, ECC))
    node.note(GpuError(address, ECC))
    assert [text.partition(". ")[0] for text in events] == [
        f"vLLM has ended {times} times in a row with a CUDA error on {name}: {ECC}" for times in (3, 4)
    ]
    assert "scheduling.avoidNodes" in events[0]


def test_another_node_or_another_end_begins_anew(node: FailingNode, events: list[str]) -> None:
    here, there = GpuError("10.0.0.2", ECC), GpuError("10.0.0.1", ECC)
    for error in (here, here, there, here, here, None, here, here):
        node.note(error)
    assert events == []


def test_without_a_cluster_the_pod_is_named_in_the_log(ray: StubRay, capsys: pytest.CaptureFixture[str]) -> None:
    node = FailingNode(RayApi(ray.url, "token"), "")
    for _ in range(3):
        node.note(GpuError("10.0.0.2", ECC))
    [event] = told(capsys)
    assert (event.name, event.fields["node"], event.number("same")) == ("gpu_errors", "10.0.0.2", 3)


@pytest.mark.usefixtures("fast")
def test_the_supervisor_counts_from_one_attempt_to_the_next(
    ray: StubRay, model: StubModel, environment: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    supervisor = Supervisor(Settings.read(environment))
    for attempt in range(1, 4):

        def fail(job: str = f"abc-{attempt}") -> None:
            ray.say(ON_A_WORKER)
            ray.end_job(job, "FAILED", 1)

        when(is_serving, fail)
        with pytest.raises(Failed):
            supervisor.serve()
    assert model.url
    assert [event.fields["node"] for event in told(capsys) if event.name == "gpu_errors"] == ["10.0.0.2"]
