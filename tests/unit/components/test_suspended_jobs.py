"""Jobs that wait in a queue are told during an `up`, and this time does not count against their bounds."""

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pulumi
import pytest
from kubernetes import client
from pulumi.runtime import mocks, settings

from components import suspended_jobs
from components.suspended_jobs import SuspendedJobs, tell_of_suspended_jobs
from images.shared import suspension
from planning.parse import parse
from tests.unit.components.registrations import run, stack_file
from tests.unit.components.stub_api import StatusError, StubApi, stub_api
from tests.unit.planning.stacks import raw

JOBS, PODS = "/apis/batch/v1/namespaces/deepseek/jobs", "/api/v1/namespaces/deepseek/pods"
NAMES = ("build-fetch-1", "mount-1", "claim-1", "download-1", "remove-1", "gate-1")
KUEUE = {"kueue.x-k8s.io/queue-name": "a100"}


def job(name: str, *, suspend: bool = False, bound: int | None = 7200, ended: str = "") -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": KUEUE},
        "spec": {"suspend": suspend} | ({} if bound is None else {"activeDeadlineSeconds": bound}),
        "status": {"conditions": [{"type": ended, "status": "True"}]} if ended else {},
    }


def pod(of: str, *, gated: bool = True) -> dict[str, Any]:
    gates = {"schedulingGates": [{"name": "example.com/quota"}]} if gated else {}
    return {"metadata": {"name": f"{of}-x", "labels": {"batch.kubernetes.io/job-name": of}}, "spec": gates}


@pytest.fixture
def cluster() -> Iterator[tuple[client.ApiClient, StubApi]]:
    with stub_api(dict[str, Any]({JOBS: [], PODS: []})) as found:
        yield found


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(suspension.time, "monotonic", lambda: now[0])
    return now


def now_in(server: StubApi, jobs: list[dict[str, Any]], pods: list[dict[str, Any]] | None = None) -> None:
    server.answers = {**server.answers, JOBS: jobs, PODS: pods or []}


def test_every_suspended_job_is_told_once_by_whom_and_when_it_goes_on(
    cluster: tuple[client.ApiClient, StubApi], clock: list[float]
) -> None:
    api, server = cluster
    watched = SuspendedJobs("deepseek")
    now_in(server, [job(name) for name in NAMES])
    assert list(watched.look(api)) == []
    now_in(server, [job(name, suspend=True) for name in NAMES])
    assert list(watched.look(api)) == [
        f"suspended by Kueue (queue a100): Job {name}; waiting until it goes on, and this time does not count"
        for name in NAMES
    ]
    clock[0] += 7200
    assert list(watched.look(api)) == []
    now_in(server, [job(name) for name in NAMES])
    assert list(watched.look(api)) == [f"Job {name} goes on; it was suspended for 2h" for name in NAMES]
    assert server.sent == [], "Kubernetes itself stops the bound of a suspended Job"
    assert {query["labelSelector"][0] for _, query in server.asked} == {
        f"app.kubernetes.io/name={pulumi.get_project()},app.kubernetes.io/instance={pulumi.get_stack()}"
    }


@pytest.mark.parametrize("other", [job("serve-1", suspend=True, bound=None), job("old", suspend=True, ended="Failed")])
def test_a_job_without_a_bound_or_one_that_has_ended_is_left_alone(
    cluster: tuple[client.ApiClient, StubApi], other: dict[str, Any]
) -> None:
    api, server = cluster
    now_in(server, [other], [pod(other["metadata"]["name"])])
    assert list(SuspendedJobs("deepseek").look(api)) == []


def test_the_bound_of_a_job_whose_pods_a_gate_holds_is_moved_with_the_time(
    cluster: tuple[client.ApiClient, StubApi], clock: list[float]
) -> None:
    api, server = cluster
    watched, bound = SuspendedJobs("deepseek"), 7200
    server.answers = {**server.answers, f"{JOBS}/download-1": job("download-1")}
    for _ in range(100):
        now_in(server, [job("download-1", bound=bound)], [pod("download-1"), pod("other"), pod("free", gated=False)])
        told = list(watched.look(api))
        assert all("suspended by the scheduling gate example.com/quota: pods download-1-x" in text for text in told)
        if server.sent:
            bound = server.sent[-1]["spec"]["activeDeadlineSeconds"]
        assert clock[0] - 100 + 7200 + 200 < bound, "the next look may come too late"
        clock[0] += 100
    assert len(server.sent) < 50, "not at each look"
    assert bound <= 7200 + 100 * 100 + suspended_jobs.AHEAD_SECONDS


def test_who_may_not_move_a_bound_is_told(cluster: tuple[client.ApiClient, StubApi], clock: list[float]) -> None:
    api, server = cluster
    server.answers = {**server.answers, f"{JOBS}/download-1": StatusError(403, "no")}
    now_in(server, [job("download-1")], [pod("download-1")])
    [_, told] = SuspendedJobs("deepseek").look(api)
    assert told.startswith("Job download-1: its bound of 7200 s could not be moved: 403")
    assert clock


def test_a_job_that_nobody_ends_at_its_bound_is_told_once(
    cluster: tuple[client.ApiClient, StubApi], clock: list[float]
) -> None:
    api, server = cluster
    watched = SuspendedJobs("deepseek")
    now_in(server, [job("download-1", suspend=True)])
    assert len(list(watched.look(api))) == 1
    clock[0] += 100_000
    now_in(server, [job("download-1")])
    assert list(watched.look(api)) == ["Job download-1 goes on; it was suspended for 100000s"]
    clock[0] += 7200 + suspended_jobs.OVERDUE_SECONDS
    assert list(watched.look(api)) == [], "it has its grace period"
    clock[0] += 15
    [told] = watched.look(api)
    assert told.startswith("Job download-1 has not ended 5m after its bound of 2h, and nothing suspends it")
    assert list(watched.look(api)) == []


def test_pulumi_waits_longer_than_any_queue_for_every_job_that_has_a_bound() -> None:
    config = stack_file("a100-bf16")
    config["deepseek:storage"]["otherRevisions"] = "remove"
    jobs = [item for item in run(config).kubernetes() if item.type.endswith(":Job")]
    bounded = [item for item in jobs if "activeDeadlineSeconds" in item.inputs["spec"]]
    assert {item.name for item in bounded} == {item.name for item in jobs} - {"serve"}
    for item in bounded:
        for waits in (item.request.customTimeouts.create, item.request.customTimeouts.update):
            least = item.inputs["spec"]["activeDeadlineSeconds"] + 29 * 24 * 3600
            assert int(waits.removesuffix("s")) >= least, item.name


def test_a_preview_looks_at_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suspended_jobs.threading, "Thread", None)
    monkeypatch.setattr(suspended_jobs.pulumi.runtime, "is_dry_run", lambda: True)
    tell_of_suspended_jobs(None)  # pyright: ignore[reportArgumentType]


class NoResources(pulumi.runtime.Mocks):
    """For a program that makes none."""

    def call(self, args: pulumi.runtime.MockCallArgs) -> Any:
        raise AssertionError(args.token)

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> Any:
        raise AssertionError(args.name)


def test_an_up_tells_on_until_its_program_has_ended(
    cluster: tuple[client.ApiClient, StubApi], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    api, server = cluster
    now_in(server, [job("download-1", suspend=True)])
    server.answers = {
        **server.answers,
        "/apis/batch/v1/namespaces/builds/jobs": [job("build-1", suspend=True)],
        "/api/v1/namespaces/builds/pods": list[Any](),
    }

    def connected(*_: object) -> nullcontext[client.ApiClient]:
        return nullcontext(api)

    monkeypatch.setattr(suspended_jobs, "connected", connected)
    monkeypatch.setattr(suspended_jobs, "LOOK_SECONDS", 0.01)
    engine, logger = mocks.MockMonitor(NoResources()), logging.getLogger("pulumi")
    caplog.set_level("INFO", "pulumi")
    monkeypatch.setattr(settings, "SETTINGS", settings.SETTINGS)  # this is no preview; later tests are
    pulumi.runtime.set_mocks(engine.mocks, "deepseek", "unit", preview=False, monitor=engine, logger=logger)
    stack = parse(raw(image={"buildNamespace": "builds"}))
    config = SimpleNamespace(settings=stack, namespace="deepseek", kubeconfig=None, context=None)

    def three_looks_at_two_kinds_in_two_namespaces() -> None:
        while len(server.asked) < 3 * 2 * 2:
            time.sleep(0.01)

    async def program() -> None:
        tell_of_suspended_jobs(cast("Any", config))
        await asyncio.to_thread(three_looks_at_two_kinds_in_two_namespaces)

    before = set(threading.enumerate())
    asyncio.run(program())
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()
    assert [text.partition(";")[0] for text in caplog.messages] == [
        "suspended by Kueue (queue a100): Job download-1",
        "suspended by Kueue (queue a100): Job build-1",
    ]
    asked = {query["labelSelector"][0] for _, query in server.asked}
    assert asked == {"app.kubernetes.io/name=deepseek,app.kubernetes.io/instance=unit"}
