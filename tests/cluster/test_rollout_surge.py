"""One engine with `rollout.surge`: a changed one is made on idle nodes, and answers before its predecessor ends."""

from typing import Any

from pulumi import automation

from local.cluster.api_server import ApiServer
from tests.cluster.conftest import Configure
from tests.cluster.world.played_kubelet import CORE
from tests.cluster.world.played_rollout import TWO_NODES, order, serving, up
from tests.cluster.world.stack_objects import changed, uids
from tests.cluster.world.watched_objects import watched


def with_surge(configured: Configure, length: int, surge: int = 1, **more: dict[str, Any]) -> automation.Stack:
    return configured(**TWO_NODES, serving={"maxModelLen": length}, rollout={"surge": surge}, **more)


def programs_that_are_missing(api: ApiServer) -> set[str]:
    """Return the ConfigMaps that pods of Ray and of the supervisor mount, and that are not there."""
    pods = api.request("GET", f"{CORE}/pods?labelSelector=app.kubernetes.io/component%20in%20(ray,serving)")["items"]
    assert len(pods) == 3
    mounted = {
        volume["configMap"]["name"] for pod in pods for volume in pod["spec"]["volumes"] if "configMap" in volume
    }
    assert len(mounted) == 2
    return mounted - uids(api, "configmaps").keys()


def clusters(api: ApiServer) -> set[str]:
    return set(uids(api, "rayclusters"))


def test_turning_it_on_replaces_nothing_that_serves(configured: Configure, api: ApiServer) -> None:
    assert up(with_surge(configured, 8192, surge=0), api) == ""
    with watched(api) as moments:
        assert up(with_surge(configured, 8192), api) == ""
    assert order(moments) == []
    assert changed(with_surge(configured, 8192).preview(expect_no_changes=True)) == {}


def test_the_new_one_has_answered_before_its_predecessor_ends(configured: Configure, api: ApiServer) -> None:
    for length, there, comes in ((16384, "", "-surge"), (32768, "-surge", "")):
        assert clusters(api) == {f"deepseek{there}"}
        with watched(api) as moments:
            assert up(with_surge(configured, length), api) == ""
        told = order(moments)
        assert told[:3] == [f"deepseek{comes} ADDED", f"serve{comes} ADDED", f"gate{comes} ADDED"]
        assert told[3:] == [f"serve{there} ENDING", f"deepseek{there} ENDING"]
        assert changed(with_surge(configured, length).preview(expect_no_changes=True)) == {}


def test_a_gate_that_fails_leaves_the_predecessor_as_it_is_and_the_way_back_too(
    configured: Configure, api: ApiServer
) -> None:
    before = serving(api)
    with_other_programs = with_surge(configured, 8192, endpoint={"countTokens": True})
    assert "no answer" in up(with_other_programs, api, "gate-surge")
    assert before.items() < serving(api).items()
    with watched(api) as moments:
        assert up(with_surge(configured, 32768), api) == ""
    assert order(moments) == ["serve-surge ENDING", "deepseek-surge ENDING"]
    assert serving(api) == before
    assert programs_that_are_missing(api) == set()
    assert changed(with_surge(configured, 32768).preview(expect_no_changes=True)) == {}


def test_the_next_change_takes_the_place_of_the_one_that_failed(configured: Configure, api: ApiServer) -> None:
    assert "no answer" in up(with_surge(configured, 8192), api, "gate-surge")
    before = {key: uid for key, uid in serving(api).items() if "surge" not in key[1]}
    with watched(api) as moments:
        assert "no answer" in up(with_surge(configured, 4096), api, "gate-surge")
    assert before.items() < serving(api).items()
    assert order(moments) == ["serve-surge ENDING", "serve-surge ADDED", "gate-surge ADDED"]
    with watched(api) as moments:
        assert up(with_surge(configured, 16384), api) == ""
    told = order(moments)
    assert told[:3] == ["serve-surge ENDING", "serve-surge ADDED", "gate-surge ADDED"]
    assert told[3:] == ["serve ENDING", "deepseek ENDING"]


def test_turned_off_it_stays_and_changes_where_it_is(configured: Configure, api: ApiServer) -> None:
    with watched(api) as moments:
        assert up(with_surge(configured, 16384, surge=0), api) == ""
    assert order(moments) == []
    with watched(api) as moments:
        assert up(with_surge(configured, 8192, surge=0), api) == ""
    assert order(moments) == ["serve-surge ENDING", "serve-surge ADDED", "gate-surge ADDED"]
    assert changed(with_surge(configured, 8192, surge=0).preview(expect_no_changes=True)) == {}
    configured().destroy()
