"""A stack with `rollout.surge: 1`: engine 0 has two places, and the proxies know both."""

import json
from collections.abc import Sequence
from typing import Any

import pulumi
import pytest

from components.rollout import surge
from components.rollout.surge import There, place_for, place_now
from components.shared.engine_names import Place
from components.stack_config import StackConfig
from tests.unit.components.registrations import Program, Registration
from tests.unit.components.test_engines import by_urn, run_with, text_of

OLD, NEW = "0123456789ab", "ba9876543210"
FIRST, SECOND = "", "-surge"


@pytest.mark.parametrize(
    ("there", "ending", "is_guarded"),
    [
        pytest.param([], FIRST, False, id="nothing"),
        pytest.param([There(FIRST, NEW, serves=True)], FIRST, False, id="the same"),
        pytest.param([There(SECOND, NEW, serves=False)], SECOND, False, id="the same, which does not serve"),
        pytest.param([There(FIRST, "", serves=True)], FIRST, False, id="made without a surge"),
        pytest.param([There(FIRST, OLD, serves=True)], SECOND, False, id="another"),
        pytest.param([There(SECOND, OLD, serves=True)], FIRST, False, id="another in the second place"),
        pytest.param([There(FIRST, OLD, serves=False)], FIRST, True, id="another that does not serve"),
        pytest.param([There(SECOND, NEW, serves=False), There(FIRST, OLD, serves=True)], SECOND, False, id="on"),
        pytest.param([There(SECOND, OLD, serves=False), There(FIRST, NEW, serves=True)], FIRST, False, id="back"),
        pytest.param([There(FIRST, "", serves=False), There(SECOND, NEW, serves=True)], SECOND, False, id="on again"),
        pytest.param([There(SECOND, "c", serves=False), There(FIRST, OLD, serves=True)], SECOND, True, id="a third"),
        pytest.param([There(FIRST, "c", serves=True), There(SECOND, OLD, serves=True)], FIRST, True, id="both serve"),
        pytest.param([There(FIRST, "c", serves=True), There(SECOND, OLD, serves=False)], SECOND, True, id="older idle"),
    ],
)
def test_the_place_is_where_least_is_lost(there: list[There], ending: str, is_guarded: bool) -> None:  # noqa: FBT001
    assert place_for(there, NEW) == Place(ending=ending, content=NEW, is_guarded=is_guarded)


def test_without_a_surge_it_stays_where_it_is() -> None:
    assert place_now([]) == Place()
    assert place_now([There(SECOND, OLD, serves=True)]) == Place(ending=SECOND)
    assert place_now([There(SECOND, OLD, serves=False), There(FIRST, OLD, serves=True)]) == Place()


def with_surge(engines: int = 1, **sections: Any) -> Program:
    return run_with(engines, rollout={"surge": 1}, **sections)


def at(monkeypatch: pytest.MonkeyPatch, ending: str, *, guarded: bool = False) -> None:
    def found(_there: Sequence[There], content: str) -> Place:
        return Place(ending=ending, content=content, is_guarded=guarded)

    monkeypatch.setattr("components.vllm_server.engines.place_for", found)


def content(stack: Program) -> str:
    [cluster] = [item for item in stack.kubernetes() if item.type.endswith(":RayCluster")]
    return cluster.inputs["metadata"]["annotations"]["deepseek-on-kubernetes/engine-content"]


def names(stack: Program) -> set[tuple[str, str]]:
    return {(item.type, item.inputs["metadata"]["name"]) for item in stack.kubernetes()}


def test_what_serves_in_the_first_place_is_as_without_a_surge(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, FIRST)
    without, first = by_urn(run_with(1)), by_urn(with_surge())
    same = [urn for urn in without if urn.endswith(("::serve", "::gate", "RayCluster::deepseek"))]
    assert len(same) == 3
    for urn in same:
        assert without[urn].inputs["metadata"]["name"] == first[urn].inputs["metadata"]["name"]
        assert without[urn].inputs["spec"] == first[urn].inputs["spec"]


def test_the_second_place_shares_nothing_that_serves_with_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, FIRST)
    first = with_surge()
    at(monkeypatch, SECOND)
    second = with_surge()
    new = {urn: item.inputs["metadata"]["name"] for urn, item in by_urn(second).items() if urn not in by_urn(first)}
    assert all("-surge" in name for name in new.values())
    objects = [(item.type, item.inputs["metadata"]["name"]) for item in second.kubernetes()]
    assert len(objects) == len(set(objects)), "no object is made twice"
    gone = [item for urn, item in by_urn(first).items() if urn not in by_urn(second)]
    assert {item.type.rpartition(":")[2] for item in gone} >= {"RayCluster", "Job", "ConfigMap", "PodDisruptionBudget"}
    assert not {(item.type, item.inputs["metadata"]["name"]) for item in gone} & set(objects), "Pulumi deletes by name"
    kept = "\n".join(map(text_of, second.kubernetes()))
    programs = [item.inputs["metadata"]["name"] for item in gone if item.name.endswith("-programs")]
    assert len(programs) == 5
    assert not [name for name in programs if name in kept]
    assert content(first) == content(second)
    servers = [
        text_of(item) for item in second.kubernetes() if item.name == "deepseek-endpoint" and "data" in item.inputs
    ]
    assert all("deepseek-engine-surge" in text and "balance leastconn" in text for text in servers)


def test_both_places_are_told_apart_by_the_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    stacks: dict[str, Program] = {}
    for ending in (FIRST, SECOND):
        at(monkeypatch, ending)
        stacks[ending] = with_surge()
    for ending, stack in stacks.items():
        [other] = set(stacks) - {ending}
        labels = one(stack, ":Job", f"serve{ending}").inputs["spec"]["template"]["metadata"]["labels"]
        own, others = (one(stack, ":Service", f"deepseek-supervisor{place}") for place in (ending, other))
        assert own.inputs["spec"]["selector"].items() <= labels.items()
        assert not others.inputs["spec"]["selector"].items() <= labels.items()
        engine = one(stack, ":Service", f"deepseek-engine{ending}").inputs["spec"]["selector"]
        assert engine["ray.io/cluster"] == one(stack, ":RayCluster", f"deepseek{ending}").inputs["metadata"]["name"]
        gate = json.dumps(one(stack, ":Job", f"gate{ending}").inputs)
        assert f"http://deepseek-engine{ending}:8000" in gate


@pytest.mark.parametrize(
    ("sections", "is_other"),
    [
        ({"serving": {"engines": 1, "maxModelLen": 4096}}, True),
        ({"pods": {"environment": {"NCCL_IB_GID_INDEX": "3"}}}, True),
        ({"image": {"push": "registry.example.com/team", "rebuild": "again"}}, True),
        ({"serving": {"engines": 1, "loadTimeout": "3h"}}, False),
        ({"monitoring": {"prometheusNamespace": "monitoring"}}, False),
    ],
)
def test_what_replaces_an_engine_is_its_content(sections: dict[str, Any], is_other: bool) -> None:  # noqa: FBT001
    base: dict[str, Any] = {"serving": {"engines": 1}}
    assert (content(with_surge(**(base | sections))) != content(with_surge(**base))) == is_other


def test_a_place_that_could_be_spared_waits_until_another_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    for guarded, minimum in ((False, "0"), (True, "1")):
        at(monkeypatch, SECOND, guarded=guarded)
        [container] = one(with_surge(), ":Job", "turn-serve-surge").inputs["spec"]["template"]["spec"]["containers"]
        given = {item["name"]: item.get("value") for item in container["env"]}
        assert given["ENGINE"] == "http://deepseek-engine-surge:8000"
        assert given["OTHERS"] == "http://deepseek-engine:8000"
        assert given["MINIMUM_SERVING"] == minimum


def test_turned_off_it_stays_and_the_proxies_know_where(monkeypatch: pytest.MonkeyPatch) -> None:
    there = [There(SECOND, OLD, serves=True)]

    def found(_config: StackConfig, _name: str) -> Sequence[There]:
        return there

    monkeypatch.setattr(surge, "places_of_first", found)
    stack = run_with(1)
    assert one(stack, ":RayCluster", "deepseek-surge").inputs["metadata"]["name"] == "deepseek-surge"
    assert "deepseek-engine-surge" in {name for _, name in names(stack)}


def test_a_preview_without_a_cluster_has_the_first_place(caplog: pytest.LogCaptureFixture) -> None:
    assert {name for kind, name in names(with_surge()) if kind.endswith(":RayCluster")} == {"deepseek"}
    assert "takes the first engine for in its first place" in caplog.text


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"endpoint": {"proxy": False}}, "rollout.surge: the proxies send requests to the new engine"),
        (
            {"rollout": {"surge": 1, "minimumServing": 2}},
            "at most 1 can serve while one of 1 is replaced, and 2 are to",
        ),
        ({"benchmark": {"enabled": True}}, "would measure the new engine and its predecessor"),
        ({"storage": {"size": "3Ti", "otherRevisions": "remove"}}, "the weights of the predecessor would be removed"),
    ],
)
def test_what_a_surge_cannot_do_is_refused(sections: dict[str, Any], told: str) -> None:
    with pytest.raises(pulumi.RunError, match=told):
        run_with(1, **({"rollout": {"surge": 1}} | sections))


def one(stack: Program, kind: str, name: str) -> Registration:
    [found] = [item for item in stack.kubernetes() if item.type.endswith(kind) and item.name == name]
    return found
