"""The supervisor against a stand-in Ray head and a stand-in model: each way in which serving can begin and end."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import following
import in_cluster
import own_job
import pytest
import supervisor
from attempts import Serve, is_serving, told, when
from failure_history import Failed
from kube_objects import KubeObject
from stub_servers import Body, Reply, StubModel, StubRay
from supervisor import Settings, Supervisor
from supervisor_log import events

Sigterm: TypeAlias = Callable[..., object]

pytestmark = pytest.mark.usefixtures("fast")
NAMED = {"name": "serve", "namespace": "n", "uid": "u"}


def test_serving_is_declared_after_an_answer_and_taken_back_at_the_end(
    ray: StubRay, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    ray.say("loading weights", "RuntimeError: out of luck")
    when(is_serving, lambda: ray.end_job("abc-1"))
    failure = serve()
    assert (failure.kind, failure.reason) == ("exit", "vLLM ended with exit code 0: RuntimeError: out of luck")
    assert not is_serving()
    output = capsys.readouterr().out
    assert [event.name for event in events(output)] == ["joined", "submitted", "warmed_up", "serving"]
    assert "\nloading weights\n" in output
    assert ray.jobs["abc-1"]["entrypoint"].endswith(" exec vllm serve '/m x' '--flag=a b'")


def test_a_refused_flag_is_told_in_vllms_words(ray: StubRay, serve: Serve) -> None:
    def refuse(job_id: str) -> None:
        ray.say("vllm serve: error: unrecognized arguments: --nope")
        ray.end_job(job_id, "FAILED", 2)

    ray.on_submit = refuse
    assert serve().reason == "vLLM ended with exit code 2: vllm serve: error: unrecognized arguments: --nope"


@pytest.mark.parametrize(("tokens", "differs"), [("1,650,000", False), ("705,568", True), ("1,700,000", True)])
def test_a_kv_cache_of_another_size_than_planned_is_told(
    tokens: str,
    differs: bool,  # noqa: FBT001
    ray: StubRay,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made: list[tuple[str, str]] = []

    def tell(_job: str, reason: str, message: str) -> None:
        made.append((reason, message))

    monkeypatch.setattr(supervisor, "tell", tell)
    ray.say(
        f"(EngineCore pid=7) INFO 11-26 01:51:26 [kv_cache_utils.py:2327] GPU KV cache size: {tokens} tokens, Maximum"
    )
    when(is_serving, lambda: ray.end_job("abc-1"))
    serve(PLANNED_KV_CACHE_TOKENS="1656112")
    said = [event.fields for event in told(capsys) if event.name == "kv_cache"]
    if differs:
        assert ("KvCacheDiffers", f"the KV cache holds {tokens} tokens, and 1,656,112 were planned") in made
        assert said == [{"planned": "1656112", "tokens": tokens.replace(",", "")}]
    else:
        assert [reason for reason, _ in made] == ["Serving"]
        assert said == []


@pytest.mark.parametrize(
    ("exit_code", "last_line", "reason"),
    [
        (-9, "the last line of many", "vLLM was ended by SIGKILL: by somebody, or for want of memory"),
        (-6, "terminate called after throwing 'c10::Error'", "vLLM was ended by SIGABRT: terminate called after"),
        (-11, "the last line of many", "vLLM was ended by SIGSEGV: it named no error"),
    ],
)
def test_a_killed_vllm_is_told_by_its_signal(
    exit_code: int, last_line: str, reason: str, ray: StubRay, serve: Serve
) -> None:
    ray.say(last_line)
    when(is_serving, lambda: ray.end_job("abc-1", "FAILED", exit_code))
    assert serve().reason.startswith(reason)


def test_a_job_that_somebody_stopped_is_a_failure(ray: StubRay, serve: Serve) -> None:
    when(is_serving, lambda: ray.end_job("abc-1", "STOPPED", None))
    assert serve().kind == "stopped"


def test_a_running_vllm_is_taken_over(ray: StubRay, serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    ray.add_job("abc-7")
    ray.nodes = []
    when(is_serving, lambda: ray.end_job("abc-7"))
    assert serve().kind == "exit"
    assert [event.name for event in told(capsys)] == ["took_over", "warmed_up", "serving"]
    assert list(ray.jobs) == ["abc-7"]


def test_a_restarted_head_has_forgotten_the_job(ray: StubRay, serve: Serve) -> None:
    when(is_serving, ray.jobs.clear)
    failure = serve()
    assert (failure.kind, failure.reason) == ("lost", "the Ray head does not know the job any more: it was restarted")


def test_a_head_that_is_gone(ray: StubRay, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PATIENCE_SECONDS", 0.1)
    when(is_serving, ray.close)
    failure = serve()
    assert failure.kind == "lost"
    assert "has not answered" in failure.reason


def test_a_head_that_is_busy_for_a_moment_does_not_matter(ray: StubRay, serve: Serve) -> None:
    broken = {"count": 0}

    def stutter(_: Body) -> Reply:
        broken["count"] += 1
        if broken["count"] % 2:
            return 500, "busy"
        if broken["count"] > 6:
            ray.end_job("abc-1")
        return 200, ray.jobs["abc-1"]

    ray.on_submit = lambda job_id: ray.routes.update({("GET", f"/api/jobs/{job_id}"): stutter})
    assert serve().kind == "exit"


def test_a_model_that_does_not_load_in_time_is_stopped(ray: StubRay, model: StubModel, serve: Serve) -> None:
    model.status = 503
    ray.say("Loading weights: 12 %")
    failure = serve(LOAD_TIMEOUT_SECONDS="0.3")
    assert failure.kind == "load"
    assert "Loading weights: 12 %" in failure.reason
    assert ray.stopped == ["abc-1"]


def test_a_server_that_refuses_the_question_again_and_again_is_stopped_long_before_its_time(
    ray: StubRay, model: StubModel, serve: Serve
) -> None:
    model.status = 404
    failure = serve(LOAD_TIMEOUT_SECONDS="60")
    assert failure.kind == "refused"
    assert "the server is up and refused the question" in failure.reason
    assert "HTTP 404" in failure.reason
    assert ray.stopped == ["abc-1"]
    assert not is_serving()


def test_a_base_model_serves_when_it_completes_a_text(ray: StubRay, model: StubModel, serve: Serve) -> None:
    model.has_chat_template = False
    when(is_serving, lambda: ray.end_job("abc-1", exit_code=1))
    assert serve().kind == "exit"


def test_answers_without_text_are_not_serving(ray: StubRay, model: StubModel, serve: Serve) -> None:
    model.answer = ""
    assert serve().kind == "empty"
    assert ray.stopped == ["abc-1"]
    assert not is_serving()


@pytest.mark.parametrize("content", ["", "another-key-of-the-model"])
def test_a_key_that_opens_nothing_any_more_does_not_end_vllm(
    ray: StubRay, model: StubModel, serve: Serve, tmp_path: Path, content: str
) -> None:
    key = tmp_path / "key"
    key.write_text("a-key-of-the-model")

    def rotate() -> None:
        key.write_text(content)
        model.status = 401
        threading.Timer(5.0, lambda: ray.end_job("abc-1", exit_code=1)).start()

    when(is_serving, rotate)
    assert serve(HANG_TIMEOUT_SECONDS="3", API_KEY_FILE=str(key)).kind == "exit"
    assert ray.stopped == []


def test_a_hung_engine_is_stopped(ray: StubRay, model: StubModel, serve: Serve) -> None:
    when(is_serving, lambda: setattr(model, "answer", None))
    failure = serve(HANG_TIMEOUT_SECONDS="0.3")
    assert failure.kind == "hung"
    assert "no answer within 0.05 s" in failure.reason
    assert ray.stopped == ["abc-1"]


def test_a_busy_engine_is_not(ray: StubRay, model: StubModel, serve: Serve) -> None:
    def busy() -> None:
        model.answer = None
        for _ in range(50):
            model.generated += 1
            time.sleep(0.05)
        ray.end_job("abc-1")

    when(is_serving, busy)
    assert serve(HANG_TIMEOUT_SECONDS="1").kind == "exit"
    assert ray.stopped == []


def test_a_node_that_left_ends_a_vllm_that_has_not_noticed(
    ray: StubRay, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "NODES_SECONDS", 0.02)
    monkeypatch.setattr(following, "PATIENCE_SECONDS", 0.2)
    when(is_serving, ray.nodes.clear)
    failure = serve()
    assert failure.kind == "nodes"
    assert "1 of 1 Ray nodes have not joined" in failure.reason
    assert ray.stopped == ["abc-1"]


def test_a_job_that_ray_does_not_take(ray: StubRay, serve: Serve) -> None:
    ray.routes[("POST", "/api/jobs/")] = lambda _: (500, "No available agent to submit job")
    failure = serve()
    assert failure.kind == "submit"
    assert "No available agent" in failure.reason


def test_it_tries_again_with_the_reason_and_the_delay(
    ray: StubRay, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ray.on_submit = lambda job_id: ray.end_job(job_id, "FAILED", 1)
    delays: list[float] = []
    sleep = time.sleep

    def note(seconds: float) -> None:
        if seconds < 1:
            sleep(seconds)
            return
        delays.append(seconds)
        if len(delays) == 4:
            raise supervisor.Terminated

    monkeypatch.setattr(time, "sleep", note)
    with pytest.raises(supervisor.Terminated):
        Supervisor(Settings.read(environment)).run()
    assert delays == [10, 20, 40, 80]
    assert list(ray.jobs) == ["abc-1", "abc-2", "abc-3", "abc-4"]
    story = told(capsys)
    assert [event.fields["same"] for event in story if event.name == "failed"] == ["1", "2", "3", "4"]
    assert [event.fields["same"] for event in story if event.name == "hopeless"] == ["3", "4"]


@pytest.fixture
def sigterm(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Sigterm:
    """Run the whole program, send it SIGTERM when it serves, and return its exit code."""

    def run(**other: str) -> object:
        for name, value in (environment | other).items():
            monkeypatch.setenv(name, value)
        handler = signal.getsignal(signal.SIGTERM)
        when(is_serving, lambda: os.kill(os.getpid(), signal.SIGTERM))
        try:
            with pytest.raises(SystemExit) as caught:
                supervisor.main()
        finally:
            signal.signal(signal.SIGTERM, handler)
        return caught.value.code

    return run


def test_its_end_is_the_end_of_vllm(ray: StubRay, sigterm: Sigterm, capsys: pytest.CaptureFixture[str]) -> None:
    assert sigterm() == 143
    assert ray.stopped == ["abc-1"]
    assert told(capsys)[-1].name == "stopped"
    assert not is_serving()


def test_an_evicted_pod_leaves_vllm_to_the_next(
    ray: StubRay, sigterm: Sigterm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    job: KubeObject = {"metadata": NAMED, "spec": {}, "status": {"active": 1}}

    def request(*_: object, **__: object) -> KubeObject:
        return job

    monkeypatch.setattr(in_cluster, "request", request)
    assert sigterm(SERVING_JOB="serve", POD_NAMESPACE="n") == 143
    assert ray.stopped == []
    assert told(capsys)[-1].name == "left"


@pytest.mark.parametrize(
    "job",
    [
        {"metadata": NAMED | {"deletionTimestamp": "now"}, "spec": {}},
        {"metadata": NAMED, "spec": {"suspend": True}},
        {"metadata": NAMED, "spec": {}, "status": {"conditions": [{"type": "FailureTarget", "status": "True"}]}},
        in_cluster.ApiError(404, "not found"),
        in_cluster.ApiError(403, "forbidden"),
    ],
)
def test_a_job_that_ends_or_cannot_be_read_takes_vllm_with_it(
    job: KubeObject | Exception, ray: StubRay, sigterm: Sigterm, monkeypatch: pytest.MonkeyPatch
) -> None:
    def request(*_: object, **__: object) -> KubeObject:
        if isinstance(job, Exception):
            raise job
        return job

    monkeypatch.setattr(in_cluster, "request", request)
    assert sigterm(SERVING_JOB="serve", POD_NAMESPACE="n") == 143
    assert ray.stopped == ["abc-1"]


def test_the_jobs_annotations_bound_the_next_attempt(
    ray: StubRay, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They change in place, while the supervisor runs; one that is not there, or cannot be read, stays as it was."""
    ray.nodes = []
    annotations = {own_job.JOIN_TIMEOUT: "0.05"}
    answers: list[KubeObject | Exception] = [
        {"metadata": {"annotations": annotations}, "spec": {}},
        in_cluster.ApiError(0, "no answer"),
        {"metadata": {"annotations": {own_job.LOAD_TIMEOUT: "7"}}, "spec": {}},
    ]

    def request(*_: object, **__: object) -> KubeObject:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(in_cluster, "request", request)
    monkeypatch.setenv("POD_NAMESPACE", "n")
    tries = Supervisor(Settings.read(environment | {"JOIN_TIMEOUT_SECONDS": "20", "SERVING_JOB": "serve"}))
    for _ in range(3):
        with pytest.raises(Failed, match="have not joined, after 0 s"):
            tries.serve()
    assert answers == []


@pytest.mark.parametrize(("name", "value"), [("RAY_NODES", None), ("RAY_NODES", "two"), ("VLLM_ARGUMENTS", "serve")])
def test_an_environment_that_cannot_be_read_is_said(
    name: str, value: str | None, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, text in environment.items():
        monkeypatch.setenv(key, text)
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit, match="cannot read the environment"):
            supervisor.main()
    finally:
        signal.signal(signal.SIGTERM, handler)


def test_the_shell_of_the_head_completes_the_address_and_nothing_else(environment: dict[str, str]) -> None:
    arguments = ["serve", "/m x", "--host=$SERVE_ON", "--flag=$SERVE_ON"]
    command = Settings.read(environment | {"VLLM_ARGUMENTS": json.dumps(arguments)}).jobs.command
    shell = ["bash", "-c", f"vllm() {{ printf '%s\\n' \"$@\"; }}; {command}"]
    ran = subprocess.run(shell, env={"SERVE_ON": "::"}, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["serve", "/m x", "--host=::", "--flag=$SERVE_ON"]
