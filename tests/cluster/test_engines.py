"""Two engines of two nodes each: a change replaces one after the other, and the other serves on."""

from typing import Any

from pulumi import automation

from local.cluster.api_server import ApiServer
from tests.cluster.conftest import Configure
from tests.cluster.world.played_rollout import TWO_NODES, order, serving, up
from tests.cluster.world.stack_objects import changed, uids
from tests.cluster.world.watched_objects import watched

Config = dict[str, dict[str, Any]]


def with_engines(configured: Configure, count: int, **more: dict[str, Any]) -> automation.Stack:
    keys = {"engines": count, **more.pop("serving", {})}
    return configured(**TWO_NODES, serving=keys, **more)


def test_a_second_engine_comes_beside_the_first(configured: Configure, api: ApiServer) -> None:
    assert up(with_engines(configured, 1), api) == ""
    before = serving(api)
    assert len(before) == 2
    with watched(api) as moments:
        assert up(with_engines(configured, 2), api) == ""
    told = order(moments)
    assert told[:3] == ["deepseek-1 ADDED", "serve-1 ADDED", "gate-1 ADDED"]
    assert told[3] == "serve ENDING", "then the first, whose pods can be evicted from now on"
    assert told[-3:] == ["deepseek ADDED", "serve ADDED", "gate ADDED"]
    after = serving(api)
    assert not before.items() & after.items()
    assert {name for kind, name in after if kind == "rayclusters"} == {"deepseek", "deepseek-1"}
    assert len(after) == 4
    assert changed(with_engines(configured, 2).preview(expect_no_changes=True)) == {}


def test_a_changed_flag_is_given_to_one_after_the_other(configured: Configure, api: ApiServer) -> None:
    clusters = uids(api, "rayclusters")
    with watched(api) as moments:
        assert up(with_engines(configured, 2, serving={"maxModelLen": 32768}), api) == ""
    assert order(moments) == [
        *("serve ENDING", "serve ADDED", "gate ADDED"),
        *("serve-1 ENDING", "serve-1 ADDED", "gate-1 ADDED"),
    ]
    assert uids(api, "rayclusters") == clusters


def test_ray_pods_are_replaced_one_engine_after_the_other(configured: Configure, api: ApiServer) -> None:
    more: Config = {"pods": {"environment": {"NCCL_IB_GID_INDEX": "3"}}, "serving": {"maxModelLen": 32768}}
    with watched(api) as moments:
        assert up(with_engines(configured, 2, **more), api) == ""
    told = order(moments)
    assert told.index("deepseek ENDING") < told.index("deepseek ADDED") < told.index("gate ADDED")
    assert told.index("gate ADDED") < min(told.index("serve-1 ENDING"), told.index("deepseek-1 ENDING"))


def test_a_gate_that_fails_leaves_the_other_engine_as_it_is(configured: Configure, api: ApiServer) -> None:
    before = serving(api)
    second = {key: uid for key, uid in before.items() if key[1].startswith(("serve-1-", "deepseek-1"))}
    assert len(second) == 2
    error = up(with_engines(configured, 2, serving={"maxModelLen": 16384}), api, "gate")
    assert "no answer" in error
    assert second.items() <= serving(api).items()
    assert up(with_engines(configured, 2, serving={"maxModelLen": 8192}), api) == ""
    assert not set(serving(api).values()) & {uid for (kind, _), uid in before.items() if kind == "jobs"}


def test_one_engine_less_ends_the_last(configured: Configure, api: ApiServer) -> None:
    with watched(api) as moments:
        assert up(with_engines(configured, 1, serving={"maxModelLen": 8192}), api) == ""
    told = order(moments)
    assert told.index("gate ADDED") < told.index("serve-1 ENDING") < told.index("deepseek-1 ENDING")
    assert uids(api, "rayclusters").keys() == {"deepseek"}
    configured().destroy()
