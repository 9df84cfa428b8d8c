"""The gate against a stand-in API server and a stand-in model."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias
from urllib.request import build_opener

import gate
import in_cluster
import own_deadline
import pytest
from diagnosis import Finding
from gate import Patience, clip, from_environment, useless
from kube_objects import KubeObject
from stub_servers import StubModel, StubServer
from supervisor_log import Event, formatted

EVENTS, PODS, LOG = "/api/v1/namespaces/n/events", "/api/v1/namespaces/n/pods", "/api/v1/namespaces/n/pods/serve-x/log"
CLUSTER = "/apis/ray.io/v1/namespaces/n/rayclusters/ray"
JOB = "/apis/batch/v1/namespaces/n/jobs/serve"
ENVIRONMENT = {
    "SERVED_MODEL": "m",
    "SERVING_JOB": "serve",
    "RAY_CLUSTER": "ray",
    "RAY_NODES": "2",
    "GPUS_PER_NODE": "1",
    "POD_NAMESPACE": "n",
    "TIMEOUT_SECONDS": "0.2",
}

Wait: TypeAlias = Callable[..., str]


@dataclass
class Api:
    """The API server, the objects by their paths, and what the supervisor has written."""

    server: StubServer
    objects: dict[str, KubeObject]
    log: str
    ray_pods: list[KubeObject]
    events: list[str] = field(default_factory=list[str])
    """What was told on the gate's Job."""


@pytest.fixture
def api(server: StubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Api:
    """A namespace in which all is well: two Ray pods run, the supervisor waits for one of them."""
    (tmp_path / "token").write_text("t")
    monkeypatch.setattr(in_cluster, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setattr(in_cluster, "server", lambda: server.url)
    monkeypatch.setattr(in_cluster, "opener", build_opener)
    objects: dict[str, KubeObject] = {
        CLUSTER: {"metadata": {"name": "ray", "uid": "c"}, "status": {"state": "ready"}},
        JOB: {"metadata": {"name": "serve", "uid": "j"}, "status": {"active": 1}},
        EVENTS: {"items": []},
    }
    api = Api(
        server,
        objects,
        formatted("waiting", nodes="1/2", gpus="1/2", after=3, missing="1 of 2 Ray nodes have not joined"),
        [_pod("head"), _pod("worker")],
    )
    pods = {"ray.io/cluster=ray": api.ray_pods, "job-name=serve": [_pod("serve-x")]}
    for path in (CLUSTER, JOB, EVENTS):
        server.routes[("GET", path)] = lambda _, path=path: (200, objects[path])
    server.routes[("GET", PODS)] = lambda body: (200, {"items": pods[_label(body["query"])]})
    server.routes[("GET", LOG)] = lambda _: (200, api.log)
    for name in ("ASK_SECONDS", "LOOK_SECONDS"):
        monkeypatch.setattr(gate, name, 0.01)
    monkeypatch.setattr(gate, "ANSWER_SECONDS", 1)
    return api


def _pod(name: str) -> KubeObject:
    metadata = {"name": name, "uid": f"u-{name}", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"metadata": metadata, "spec": {"nodeName": "a", "containers": [{}]}, "status": {"phase": "Running"}}


def _label(query: str) -> str:
    return query.removeprefix("labelSelector=")


@pytest.fixture
def wait(api: Api, model: StubModel) -> Wait:  # noqa: ARG001  the API server that the gate looks at
    """Run the gate to its end and return the reason of its failure, empty after success."""

    def run(**other: str) -> str:
        return from_environment(ENVIRONMENT | {"ENDPOINT": model.url} | other).wait()

    return run


def test_an_answer_is_success(wait: Wait, api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    assert wait() == ""
    assert "gate: 0 s: m answered: I am ready." in capsys.readouterr().out
    assert api.server.requests == [], "the cluster is not looked at where it works"


@pytest.mark.usefixtures("api")
def test_of_several_engines_each_is_asked_and_then_the_door(model: StubModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "DOOR_SECONDS", 0.1)
    door = StubModel()
    environment = ENVIRONMENT | {"ENDPOINT": model.url, "DOOR": door.url}
    assert gate.run(environment) == ""
    assert door.requests == [("POST", "/v1/chat/completions")]
    door.status = 503
    reason = gate.run(environment)
    door.close()
    assert reason.startswith(f"m answers at {model.url}, and not where clients come, {door.url}: HTTP 503")


def test_an_empty_answer_is_not(wait: Wait, model: StubModel) -> None:
    model.answer = ""
    assert "the completion has no text in it" in wait()


def test_a_base_model_is_asked_to_complete_a_text(wait: Wait, model: StubModel) -> None:
    model.has_chat_template = False
    assert wait() == ""


def test_a_refusal_of_the_question_is_final_after_a_few_repeats(wait: Wait, model: StubModel) -> None:
    model.status = 404
    reason = wait(TIMEOUT_SECONDS="60")
    assert "gave up after" in reason
    assert "refused the question 5 times: HTTP 404" in reason
    assert model.requests.count(("POST", "/v1/chat/completions")) < 10


def test_a_key_that_is_refused_is_asked_with_again(wait: Wait, model: StubModel) -> None:
    model.status = 401
    assert "no answer within 0 s" in wait()


def test_a_time_out_tells_how_far_it_got(wait: Wait, model: StubModel) -> None:
    model.status = 503
    reason = wait()
    assert reason.startswith("m is not served: no answer within 0 s (scheduling.joinTimeout and serving.loadTimeout)\n")
    assert "\nof 2 Ray pods 2 are placed (2 of 2 GPUs) and 2 run; Ray nodes joined: 1 of 2" in reason
    assert "HTTP 503" in reason


def test_nodes_that_do_not_join_end_the_wait_early(wait: Wait, model: StubModel) -> None:
    model.status = 503
    reason = wait(TIMEOUT_SECONDS="60", JOIN_TIMEOUT_SECONDS="0.1")
    assert reason.startswith("m is not served: the Ray nodes have not joined within 0 s")
    assert "1 of 2 Ray nodes have not joined" in reason


def test_it_goes_on_waiting_for_vllm_when_they_have(wait: Wait, model: StubModel, api: Api) -> None:
    model.status = 503
    api.log += "\nINFO vLLM\n" + formatted("joined", nodes="2/2", gpus="2/2", after=9)
    assert "no answer within 0 s" in wait(TIMEOUT_SECONDS="0.3", JOIN_TIMEOUT_SECONDS="0.1")


GATE_JOB = "/apis/batch/v1/namespaces/n/jobs/gate"


@pytest.fixture
def patches(api: Api, monkeypatch: pytest.MonkeyPatch) -> list[KubeObject]:
    """The changes of the gate's own Job."""
    monkeypatch.setenv("POD_NAMESPACE", "n")
    made: list[KubeObject] = []
    own: KubeObject = {
        "metadata": {"name": "gate", "namespace": "n", "uid": "g"},
        "spec": {"activeDeadlineSeconds": 1000},
    }
    api.server.routes[("GET", GATE_JOB)] = lambda _: (200, own)

    def patch(body: KubeObject) -> tuple[int, KubeObject]:
        made.append(body["spec"])
        return 200, own

    def tell(body: KubeObject) -> tuple[int, KubeObject]:
        api.events.append(body["message"])
        return 201, body

    api.server.routes[("PATCH", GATE_JOB)] = patch
    api.server.routes[("POST", EVENTS)] = tell
    monkeypatch.setattr(own_deadline, "STEP_SECONDS", 0.1)
    return made


def test_the_time_in_which_it_is_suspended_does_not_count(
    wait: Wait, model: StubModel, api: Api, patches: list[KubeObject], capsys: pytest.CaptureFixture[str]
) -> None:
    model.status = 503
    queued = {"metadata": {"name": "ray", "uid": "c", "labels": {"kueue.x-k8s.io/queue-name": "a100"}}}
    api.objects[CLUSTER] = queued | {"spec": {"suspend": True}}
    answer = threading.Timer(1.0, lambda: setattr(model, "status", 200))
    answer.start()
    assert wait(TIMEOUT_SECONDS="0.2", JOIN_TIMEOUT_SECONDS="0.1", GATE_JOB="gate") == ""
    assert "suspended by Kueue (queue a100): RayCluster ray; of 2 Ray pods" in capsys.readouterr().out
    assert patches[-1]["activeDeadlineSeconds"] >= 1000 + own_deadline.AHEAD_SECONDS
    assert api.events == ["suspended by Kueue (queue a100): RayCluster ray; waiting until it goes on"]


def test_when_it_goes_on_the_time_counts_from_where_it_was(
    wait: Wait, model: StubModel, api: Api, patches: list[KubeObject]
) -> None:
    model.status = 503
    running, suspended = api.objects[JOB], api.objects[JOB] | {"spec": {"suspend": True}}
    api.objects[JOB] = suspended
    threading.Timer(0.5, lambda: api.objects.update({JOB: running})).start()
    reason = wait(TIMEOUT_SECONDS="0.2", GATE_JOB="gate")
    assert reason.startswith("m is not served: no answer within 0 s")
    assert "suspended for " in reason
    assert patches


def test_a_bound_that_cannot_be_moved_is_told(
    wait: Wait, model: StubModel, api: Api, patches: list[KubeObject], capsys: pytest.CaptureFixture[str]
) -> None:
    model.status = 503
    api.objects[JOB] |= {"spec": {"suspend": True}}
    api.server.routes[("PATCH", GATE_JOB)] = lambda _: (403, {"message": "jobs is forbidden"})
    threading.Timer(0.6, lambda: setattr(model, "status", 200)).start()
    assert wait(GATE_JOB="gate") == ""
    assert not patches
    assert "the bound of Job gate could not be moved" in capsys.readouterr().out


def suspend(item: KubeObject, manager: str, operation: str = "Update") -> None:
    """Set the field as a manager does; what a webhook sets belongs to nobody."""
    entry: KubeObject = {"manager": manager, "operation": operation, "fieldsV1": {"f:spec": {"f:suspend": {}}}}
    item["spec"] = {"suspend": True}
    item["metadata"]["managedFields"] = [entry] if manager else []


@pytest.mark.parametrize("by", [("kubectl-patch", "Update"), ("pulumi-deepseek", "Apply")])
def test_a_parked_engine_is_not_asked(
    by: tuple[str, str],
    model: StubModel,
    api: Api,
    patches: list[KubeObject],
    capsys: pytest.CaptureFixture[str],
) -> None:
    suspend(api.objects[CLUSTER], *by)
    suspend(api.objects[JOB], *by)
    environment = ENVIRONMENT | {"ENDPOINT": model.url, "DOOR": model.url, "GATE_JOB": "gate", "TOOL_CALLS": "true"}
    assert gate.run(environment) == ""
    assert model.requests == []
    assert patches == []
    said = "engine ray is parked (spec.suspend): it was not asked"
    assert capsys.readouterr().out == f"gate: 0 s: {said}\n"
    assert api.events == [said]


@pytest.mark.parametrize("started", [CLUSTER, JOB])
def test_one_of_which_a_half_was_started_is_asked(started: str, model: StubModel, api: Api) -> None:
    for path in {CLUSTER, JOB} - {started}:
        suspend(api.objects[path], "kubectl-patch")
    assert gate.run(ENVIRONMENT | {"ENDPOINT": model.url}) == ""
    assert model.requests


@pytest.mark.parametrize("by", ["", "kueue-admission"])
def test_what_a_queue_has_suspended_is_waited_for(
    by: str, model: StubModel, api: Api, patches: list[KubeObject]
) -> None:
    model.status = 503
    suspend(api.objects[CLUSTER], by)
    suspend(api.objects[JOB], by)
    threading.Timer(0.5, lambda: setattr(model, "status", 200)).start()
    assert gate.run(ENVIRONMENT | {"ENDPOINT": model.url, "GATE_JOB": "gate"}) == ""
    assert model.requests.count(("POST", "/v1/chat/completions")) > 1
    assert patches


def test_a_flag_that_is_refused_ends_the_wait_early(wait: Wait, model: StubModel, api: Api) -> None:
    model.status = 503
    words = "vLLM ended with exit code 2: vllm serve: error: unrecognized arguments: --nope"
    lines = [formatted("failed", kind="exit", same=same, after=0, retry_in=10, reason=words) for same in (1, 2)]
    api.log = "\n".join([formatted("joined", nodes="2/2"), *lines])
    reason = wait(TIMEOUT_SECONDS="60")
    assert reason.startswith(f"m is not served: gave up after 0 s: {words}")


def test_warnings_are_told_of_these_objects_only(wait: Wait, model: StubModel, api: Api) -> None:
    model.status = 503
    api.ray_pods[0]["status"] = {"phase": "Pending"}
    warning = {"reason": "FailedMount", "message": "no such share", "lastTimestamp": "2026-01-01T00:00:00Z"}
    ours, old = {"kind": "Pod", "name": "head", "uid": "u-head"}, {"kind": "Pod", "name": "head", "uid": "before"}
    api.objects[EVENTS] = {
        "items": [
            warning | {"involvedObject": ours},
            warning | {"involvedObject": ours, "message": "still no share", "lastTimestamp": "2026-01-01T00:01:00Z"},
            warning | {"involvedObject": old, "message": "of another pod"},
        ]
    }
    reason = wait()
    assert "- Pod head: FailedMount: still no share" in reason
    assert "no such share" not in reason
    assert "another pod" not in reason


def test_a_permission_that_is_missing_hides_nothing_else(wait: Wait, model: StubModel, api: Api) -> None:
    model.status = 503
    api.server.routes[("GET", EVENTS)] = lambda _: (403, {"message": "events is forbidden"})
    reason = wait()
    assert "could not be read" in reason
    assert "events is forbidden" in reason
    assert "Ray nodes joined: 1 of 2" in reason


def test_a_supervisor_that_has_not_started_has_no_log(wait: Wait, model: StubModel, api: Api) -> None:
    model.status = 503
    api.server.routes[("GET", LOG)] = lambda _: (400, {"message": "container is waiting to start"})
    reason = wait()
    assert "the supervisor has not said anything yet" in reason
    assert "could not be read" not in reason


def test_an_api_server_that_does_not_answer_is_no_end(wait: Wait, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_cluster, "server", lambda: "http://127.0.0.1:9")
    assert wait() == ""


def test_progress_is_said_once_as_long_as_it_does_not_change(
    wait: Wait, model: StubModel, capsys: pytest.CaptureFixture[str]
) -> None:
    model.status = 503
    wait()
    assert capsys.readouterr().out.count("Ray nodes joined: 1 of 2") == 1


def test_patience_is_with_what_lasts() -> None:
    patience = Patience()
    image = Finding("image", "cannot be pulled", 300)
    assert patience.over([image], 0) == ""
    assert patience.over([], 200) == ""
    assert patience.over([image], 250) == ""
    assert patience.over([Finding("other", "x"), image], 549) == ""
    assert patience.over([Finding("image", "still not", 300)], 550) == "still not"
    assert patience.over([Finding("never", "at once", 0)], 551) == "at once"


def failed(kind: str, same: int, after: int = 10) -> Event:
    return Event("failed", {"kind": kind, "same": str(same), "after": str(after), "reason": "why"})


@pytest.mark.parametrize(
    ("story", "reason"),
    [
        ([], ""),
        ([failed("exit", 1)], ""),
        ([failed("exit", 1), failed("exit", 2)], "why"),
        ([failed("exit", 1), failed("exit", 1)], ""),
        ([failed("exit", 9)], ""),  # the first that began after the gate did: the cause may be gone
        ([failed("lost", 1), failed("lost", 2)], ""),
        ([failed("empty", 1)], "why"),
        ([failed("load", 1)], "why"),
        ([failed("refused", 1)], "why"),
        ([failed("load", 1, after=101)], ""),  # began before the gate
    ],
)
def test_when_further_attempts_are_useless(story: list[Event], reason: str) -> None:
    assert useless(story, elapsed=100) == reason


def test_the_message_fits_where_the_kubelet_keeps_it() -> None:
    text = "ü" * 5000
    assert len(clip(text, 4096).encode()) <= 4096
    assert clip(text, 4096).endswith("ü…")
    assert clip("short", 4096) == "short"


def test_the_program_writes_its_reason_and_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gate, "TERMINATION_MESSAGE", tmp_path / "message")

    def wait(_: gate.Gate) -> str:
        return "no GPUs"

    monkeypatch.setattr(gate.Gate, "wait", wait)
    monkeypatch.setattr(os, "environ", ENVIRONMENT | {"ENDPOINT": "http://127.0.0.1:9"})
    with pytest.raises(SystemExit) as caught:
        gate.main()
    assert caught.value.code == 1
    assert (tmp_path / "message").read_text() == "no GPUs"


def network(api: Api, *events: str) -> None:
    """The supervisor's log after the nodes have joined."""
    api.log = "\n".join((formatted("joined", nodes="2/2", gpus="2/2", after=9), *events))


def test_what_is_wrong_with_the_network_is_told_once_while_the_model_loads(
    wait: Wait, model: StubModel, api: Api, patches: list[KubeObject]
) -> None:
    assert patches == []
    model.status = 503
    network(api, formatted("network", measured="between nodes 11 GB/s", reason="GPU 3 of worker multiplies slowly"))
    assert "\n- network: between nodes 11 GB/s" in wait(GATE_JOB="gate")
    assert api.events == ["GPU 3 of worker multiplies slowly"]


def test_a_sound_network_is_no_warning(wait: Wait, model: StubModel, api: Api, patches: list[KubeObject]) -> None:
    assert patches == []
    model.status = 503
    network(api, formatted("network", measured="between nodes 48 GB/s"))
    assert "- network: between nodes 48 GB/s" in wait(GATE_JOB="gate")
    assert api.events == []


def test_a_network_below_the_minimum_ends_the_wait_at_once_with_both_numbers(
    wait: Wait, model: StubModel, api: Api
) -> None:
    model.status = 503
    said = "network.minimumBandwidth is 100 Gbit/s, and 89.6 Gbit/s were measured between head - worker"
    network(api, formatted("failed", kind="network", same=1, after=0, retry_in=10, reason=said))
    reason = wait(TIMEOUT_SECONDS="60")
    assert reason.startswith("m is not served: gave up after 0 s: network.minimumBandwidth is 100 Gbit/s, and 89.6")


def test_devices_for_rdma_that_are_not_used_end_the_wait_with_what_is_missing(
    wait: Wait, model: StubModel, api: Api
) -> None:
    model.status = 503
    said = "network.rdmaResources gives the pods rdma/hca, and NCCL does not use it: NCCL_IB_DISABLE=1 is set"
    network(api, formatted("network_error", reason=said))
    assert wait(TIMEOUT_SECONDS="60").startswith(f"m is not served: {said}; it is loaded all the same, and slow")
