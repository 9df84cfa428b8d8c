"""Pulumi sees no change in an engine that somebody parks, and what replaces it stays parked until somebody wakes it."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pulumi import automation

from local.cluster.api_server import ApiServer
from tests.cluster.conftest import Configure
from tests.cluster.test_engines import with_engines
from tests.cluster.world.played_rollout import up
from tests.cluster.world.stack_objects import NAMESPACE, changed, objects
from tests.cluster.world.watched_objects import Moment, wait_until, watched

FINISHED = {"reference": "registry.example.com/served:1", "fetchReference": "registry.example.com/fetch:1"}
PATHS = {"rayclusters": f"/apis/ray.io/v1/namespaces/{NAMESPACE}", "jobs": f"/apis/batch/v1/namespaces/{NAMESPACE}"}

Key = tuple[str, str]
Stack = Callable[..., automation.Stack]


@pytest.fixture(scope="module")
def single(configured: Configure) -> Iterator[Stack]:
    def with_changes(**changes: dict[str, Any]) -> automation.Stack:
        return configured(image=FINISHED, **changes)

    yield with_changes
    configured().destroy()


@pytest.fixture
def stack(single: Stack, api: ApiServer) -> Stack:
    """Return one engine with some keys changed; it is there when a test begins."""
    if ("rayclusters", "deepseek") not in objects(api):
        single().up()
    return single


def engine(api: ApiServer, number: int = 0) -> dict[str, Any]:
    """Return RayCluster and serving Job of an engine by their kinds, in the order in which they are woken."""
    suffix = f"-{number}" if number else ""
    found = {
        kind: item
        for (kind, name), item in objects(api).items()
        if (kind == "rayclusters" and name == f"deepseek{suffix}")
        or (kind == "jobs" and name.rpartition("-")[0] == f"serve{suffix}")
    }
    assert found.keys() == PATHS.keys()
    return found


def uids(api: ApiServer, number: int = 0) -> dict[str, str]:
    return {kind: item["metadata"]["uid"] for kind, item in engine(api, number).items()}


def suspended(api: ApiServer, number: int = 0) -> set[bool]:
    return {item["spec"].get("suspend", False) for item in engine(api, number).values()}


def pods(api: ApiServer, number: int = 0) -> list[str]:
    names = {kind: item["metadata"]["name"] for kind, item in engine(api, number).items()}
    return [
        name
        for (kind, name), item in objects(api).items()
        if kind == "pods" and is_of(item["metadata"]["labels"], names["rayclusters"], names["jobs"])
    ]


def is_of(labels: dict[str, str], cluster: str, job: str) -> bool:
    return cluster == labels.get("ray.io/cluster") or job == labels.get("batch.kubernetes.io/job-name")


def set_suspend(api: ApiServer, number: int = 0, *, suspend: bool) -> None:
    """Do as `kubectl patch` does: a merge patch, by a field manager of its own."""
    for kind, item in engine(api, number).items():
        path = f"{PATHS[kind]}/{kind}/{item['metadata']['name']}?fieldManager=kubectl-patch"
        api.request("PATCH", path, json.dumps({"spec": {"suspend": suspend}}), "application/merge-patch+json")


def park(api: ApiServer, number: int = 0) -> None:
    set_suspend(api, number, suspend=True)
    wait_until(lambda: not pods(api, number))


def wake(api: ApiServer, number: int = 0) -> None:
    set_suspend(api, number, suspend=False)
    wait_until(lambda: len(pods(api, number)) > 1)


def assert_parked(api: ApiServer) -> None:
    assert suspended(api) == {True}
    assert pods(api) == []


def assert_awake(api: ApiServer) -> None:
    assert suspended(api) == {False}
    wait_until(lambda: len(pods(api)) > 1)


def serving_pods(moments: list[Moment]) -> list[str]:
    """Return the pods that were made for what serves."""
    return [
        moment.name
        for moment in moments
        if moment.kind == "pods"
        and moment.event == "ADDED"
        and ("ray.io/cluster" in moment.labels or moment.labels.get("app.kubernetes.io/component") == "serving")
    ]


def assert_nothing_to_do(selected: automation.Stack, *, refreshed: bool) -> None:
    """See no change in a preview, and, if that is wanted, none in a refresh and a preview after it."""
    assert changed(selected.preview()) == {}
    if refreshed:
        assert changed_by_refresh(selected) == {}
        assert changed(selected.preview()) == {}


def changed_by_refresh(selected: automation.Stack) -> dict[str, int]:
    changes = selected.refresh().summary.resource_changes or {}
    return {str(kind): count for kind, count in changes.items() if "same" not in str(kind)}


LONGER: dict[str, Any] = {"rollout": {"drainTimeout": "3m"}}
"""An annotation of the serving Job."""

FLAG: dict[str, Any] = {"serving": {"maxModelLen": 32768}}


def variable(value: str, **more: Any) -> dict[str, Any]:
    """Return what replaces RayCluster and serving Job."""
    return {"pods": {"environment": {"NCCL_IB_GID_INDEX": value}}, **more}


def test_what_somebody_has_parked_and_woken_is_no_change(stack: Stack, api: ApiServer) -> None:
    stack().up()
    before = uids(api)
    park(api)
    assert_nothing_to_do(stack(), refreshed=True)
    wake(api)
    assert_nothing_to_do(stack(), refreshed=True)
    assert uids(api) == before


@pytest.mark.faults
def test_an_update_in_place_leaves_it_parked(stack: Stack, api: ApiServer) -> None:
    """In an update the provider takes over what kubectl has set."""
    stack().up()
    before = uids(api)
    park(api)
    told = stack(**LONGER).up()
    assert "engine deepseek is parked, and stays so if it is replaced" in told.stdout
    assert changed(told) == {"update": 1}
    assert_parked(api)
    assert_nothing_to_do(stack(**LONGER), refreshed=True)
    wake(api)
    assert changed(stack(**LONGER).up()) == {"update": 1}, "Pulumi sends spec.suspend no longer"
    assert_awake(api)
    assert_nothing_to_do(stack(**LONGER), refreshed=True)
    assert uids(api) == before


def test_what_replaces_it_is_parked_and_no_pod_is_made(stack: Stack, api: ApiServer) -> None:
    park(api)
    before = uids(api)
    with watched(api) as moments:
        stack(**variable("1")).up()
    assert not set(before.values()) & set(uids(api).values())
    assert serving_pods(moments) == []
    assert_parked(api)
    assert_nothing_to_do(stack(**variable("1")), refreshed=True)


def test_a_change_while_it_is_parked_leaves_it_parked(stack: Stack, api: ApiServer) -> None:
    assert_parked(api)
    before = uids(api)
    with watched(api) as moments:
        stack(**variable("1"), **FLAG).up()
        assert uids(api)["rayclusters"] == before["rayclusters"]
        assert uids(api)["jobs"] != before["jobs"]
        assert changed(stack(**variable("1"), **FLAG, **LONGER).up()) == {"update": 1}
        stack(**variable("2")).up()
    assert serving_pods(moments) == []
    assert_parked(api)


SWEPT = [False, pytest.param(True, marks=pytest.mark.faults)]


@pytest.mark.parametrize("refreshed", SWEPT)
def test_one_that_was_replaced_and_woken_stays_awake(stack: Stack, api: ApiServer, *, refreshed: bool) -> None:
    value = "3" if refreshed else "4"
    park(api)
    stack(**variable(value)).up()
    assert_parked(api)
    wake(api)
    before = uids(api)
    if refreshed:
        stack(**variable(value)).refresh()
    assert changed(stack(**variable(value)).preview()) == {"update": 2}, "and nothing is replaced"
    assert changed(stack(**variable(value), **LONGER).up()) == {"update": 2}
    assert_awake(api)
    assert uids(api) == before
    assert_nothing_to_do(stack(**variable(value), **LONGER), refreshed=refreshed)


@pytest.mark.faults
@pytest.mark.parametrize("refreshed", [False, True])
def test_one_that_was_woken_and_is_replaced_serves(stack: Stack, api: ApiServer, *, refreshed: bool) -> None:
    before, now = ("5", "6") if refreshed else ("7", "8")
    park(api)
    stack(**variable(before)).up()
    wake(api)
    if refreshed:
        stack(**variable(before)).refresh()
    stack(**variable(now)).up()
    assert_awake(api)
    assert_nothing_to_do(stack(**variable(now)), refreshed=refreshed)


@pytest.mark.faults
def test_one_that_was_made_parked_may_be_woken_and_parked_again(stack: Stack, api: ApiServer) -> None:
    park(api)
    stack(**variable("9")).up()
    wake(api)
    park(api)
    assert_nothing_to_do(stack(**variable("9")), refreshed=True)
    stack(**variable("9"), **LONGER).up()
    assert_parked(api)
    stack(**variable("10")).up()
    assert_parked(api)
    stack(**variable("10")).destroy()


@pytest.mark.faults
def test_of_two_engines_the_parked_one_stays_parked_and_the_other_serves(configured: Configure, api: ApiServer) -> None:
    minimum = {"minimumServing": 0}
    assert up(with_engines(configured, 2, rollout=minimum), api) == ""
    park(api, 1)
    labels = engine(api, 1)["jobs"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/part-of"] == "deepseek-1"
    assert_nothing_to_do(with_engines(configured, 2, rollout=minimum), refreshed=True)
    with watched(api) as moments:
        assert up(with_engines(configured, 2, rollout=minimum, **variable("5")), api) == ""
    made = [moment.name for moment in moments if moment.event == "ADDED" and moment.kind == "rayclusters"]
    assert made == ["deepseek-1", "deepseek"], "the one that does not serve comes first"
    assert suspended(api, 1) == {True}
    assert suspended(api, 0) == {False}
    assert not [name for name in serving_pods(moments) if name.startswith(("deepseek-1-", "serve-1-"))]
    with_engines(configured, 2).destroy()
