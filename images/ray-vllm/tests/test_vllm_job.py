import os
import shlex
import subprocess
import time

import pytest
import vllm_job
from direct_http import NoAnswer
from failure_history import Failed
from ray_api import RayApi
from stub_servers import StubRay
from vllm_job import VllmJobs, stop, stop_if_reachable

pytestmark = pytest.mark.usefixtures("fast")
GROUP = {"placement_group_id": "pg1", "state": "CREATED", "bundles": [{"unit_resources": {"GPU": 1.0}}]}


@pytest.fixture
def jobs(ray: StubRay) -> VllmJobs:
    return VllmJobs(RayApi(ray.url), "abc-def", "vllm serve /m")


def running_id(jobs: VllmJobs) -> str:
    job = jobs.running()
    assert job
    return job.submission_id


def test_the_first_attempt(ray: StubRay, jobs: VllmJobs) -> None:
    job = jobs.submit()
    assert job.submission_id == "abc-def-1"
    submitted = ray.jobs["abc-def-1"]
    assert submitted["entrypoint"].endswith(" & exec vllm serve /m")
    assert submitted["runtime_env"] == {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "10"}}
    assert submitted["metadata"] == {"submitted-by": "vllm-supervisor"}


def test_an_environment_of_vllms_own(ray: StubRay) -> None:
    VllmJobs(RayApi(ray.url), "abc-def", "vllm serve /m", {"OTEL_SERVICE_NAME": "vllm-dev"}).submit()
    environment = ray.jobs["abc-def-1"]["runtime_env"]["env_vars"]
    assert environment == {"OTEL_SERVICE_NAME": "vllm-dev", "RAY_JOB_STOP_WAIT_TIME_S": "10"}


def test_an_id_is_never_used_twice(ray: StubRay, jobs: VllmJobs) -> None:
    ray.add_job("abc-def-9")
    ray.end_job("abc-def-9")
    ray.add_job("abc-def-10")
    ray.end_job("abc-def-10")
    ray.add_job("other-99")
    ray.end_job("other-99")
    assert jobs.submit().submission_id == "abc-def-11"


def test_a_running_job_of_this_configuration_is_found(ray: StubRay, jobs: VllmJobs) -> None:
    ray.add_job("abc-def-1")
    ray.end_job("abc-def-1")
    ray.add_job("abc-def-2")
    assert running_id(jobs) == "abc-def-2"
    assert ray.stopped == []


def test_none_is_found_where_none_runs(ray: StubRay, jobs: VllmJobs) -> None:
    ray.add_job("abc-def-1")
    ray.end_job("abc-def-1", "FAILED", 1)
    assert jobs.running() is None


def test_the_job_of_another_configuration_is_stopped_first(ray: StubRay, jobs: VllmJobs) -> None:
    ray.add_job("abc-1")
    assert jobs.running() is None
    assert ray.stopped == ["abc-1"]


def test_of_two_running_jobs_the_older_is_stopped(ray: StubRay, jobs: VllmJobs) -> None:
    ray.add_job("abc-def-10")
    ray.add_job("abc-def-9")
    assert running_id(jobs) == "abc-def-10"
    assert ray.stopped == ["abc-def-9"]


def test_the_jobs_of_people_are_left_alone(ray: StubRay, jobs: VllmJobs) -> None:
    ray.add_job("raysubmit_x", metadata={})
    assert jobs.running() is None
    assert jobs.stop_all()
    assert ray.stopped == []


def test_all_are_stopped_at_the_end(ray: StubRay, jobs: VllmJobs) -> None:
    ray.add_job("abc-def-1")
    ray.add_job("other-1")
    assert jobs.stop_all()
    assert sorted(ray.stopped) == ["abc-def-1", "other-1"]


def test_vllm_waits_until_gpus_are_free(ray: StubRay, jobs: VllmJobs) -> None:
    replies = iter([[GROUP], [GROUP], [GROUP | {"state": "REMOVED"}]])
    ray.routes[("GET", "/api/v0/placement_groups")] = lambda _: (200, {"data": {"result": {"result": next(replies)}}})
    jobs.submit()
    assert next(replies, None) is None


def test_gpus_that_do_not_get_free_are_a_failure(ray: StubRay, jobs: VllmJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_job, "FREE_GPUS_SECONDS", 0.05)
    ray.placement_groups = [GROUP, GROUP | {"bundles": [{"unit_resources": {"CPU": 1.0}}], "placement_group_id": "pg2"}]
    with pytest.raises(Failed, match=r"still held by Ray placement group pg1$"):
        jobs.submit()
    assert ray.jobs == {}


def test_a_job_that_does_not_stop_is_said(
    ray: StubRay, jobs: VllmJobs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(vllm_job, "STOP_SECONDS", 0.05)
    ray.add_job("abc-def-1")
    ray.routes[("POST", "/api/jobs/abc-def-1/stop")] = lambda _: (200, {"stopped": True})
    assert not stop(jobs.ray, vllm_job.Job("abc-def-1", "RUNNING", 0), "enough")
    assert "still_running job=abc-def-1" in capsys.readouterr().out


def test_the_job_of_a_head_that_is_gone(capsys: pytest.CaptureFixture[str]) -> None:
    head = RayApi("http://127.0.0.1:9")
    job = vllm_job.Job("abc-1", "RUNNING", 0)
    with pytest.raises(NoAnswer):
        stop(head, job, "enough")
    stop_if_reachable(head, job, "enough")
    assert "stop_unknown job=abc-1" in capsys.readouterr().out


@pytest.mark.parametrize("engine", ["sleep 60", "trap '' TERM; while :; do sleep 1; done"])
def test_what_a_killed_api_server_leaves_behind_is_ended(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_job, "ENGINE_GRACE_SECONDS", 1)
    api_server = f"sh -c {shlex.quote(f'({engine}) & exec sleep 60')}"
    with subprocess.Popen(["/bin/sh", "-c", vllm_job.entrypoint(api_server)], start_new_session=True) as leader:
        time.sleep(1.5)
        leader.kill()
        leader.wait()
        assert lives(leader.pid)
        deadline = time.monotonic() + 30
        while lives(leader.pid):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def lives(group: int) -> bool:
    """Tell whether a process group has a process."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
