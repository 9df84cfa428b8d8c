"""A stack with `rollout.surge: 1`: engine 0 has two places, and the proxies know both."""

import json
from typing import Any

import pulumi
import pytest

from components.rollout import surge
from components.rollout.surge import There, place_among
from components.shared.engine_names import Place
from components.stack_config import StackConfig
from tests.unit.components.registrations import Program, Registration
from tests.unit.components.test_engines import by_urn, run_with, text_of

OLD, NEW = "0123456789ab", "ba9876543210"
FIRST, SECOND = "", "-surge"


@pytest.mark.parametrize(
    ("there", "ending"),
    [
        pytest.param([], FIRST, id="nothing"),
        pytest.param([There(FIRST, NEW, serves=True)], FIRST, id="the same"),
        pytest.param([There(SECOND, NEW, serves=False)], SECOND, id="the same, which does not serve"),
        pytest.param([There(FIRST, "", serves=True)], FIRST, id="made without a surge"),
        pytest.param([There(FIRST, OLD, serves=True)], SECOND, id="another"),
        pytest.param([There(SECOND, OLD, serves=True)], FIRST, id="another in the second place"),
        pytest.param([There(FIRST, OLD, serves=False)], FIRST, id="another that does not serve"),
        pytest.param([There(SECOND, NEW, serves=False), There(FIRST, OLD, serves=True)], SECOND, id="on"),
        pytest.param([There(SECOND, OLD, serves=False), There(FIRST, NEW, serves=True)], FIRST, id="back"),
        pytest.param([There(SECOND, "c", serves=False), There(FIRST, OLD, serves=True)], SECOND, id="a third"),
        pytest.param([There(FIRST, "c", serves=True), There(SECOND, OLD, serves=True)], FIRST, id="both serve"),
        pytest.param(
            [There(FIRST, "c", serves=True), There(SECOND, OLD, serves=False)], SECOND, id="the older is idle"
        ),
    ],
)
def test_the_place_is_where_least_is_lost(there: list[There], ending: str) -> None:
    assert place_among(there, NEW) == ending


def with_surge(engines: int = 1, **sections: Any) -> Program:
    return run_with(engines, rollout={"surge": 1}, **sections)


def at(monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    def found(_config: StackConfig, _cluster: str, content: str) -> Place:
        return Place(ending=ending, content=content)

    monkeypatch.setattr("components.vllm_server.engines.place_of_first", found)


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
    new = {item.inputs["metadata"]["name"] for urn, item in by_urn(second).items() if urn not in by_urn(first)}
    assert {name.rpartition("-")[0] for name in new} == {
        *("deepseek", "serve-surge", "gate-surge", "turn-cluster-surge", "turn-serve-surge"),
        *("turn-cluster-surge-programs", "turn-serve-surge-programs"),
    }
    objects = [(item.type, item.inputs["metadata"]["name"]) for item in second.kubernetes()]
    assert len(objects) == len(set(objects)), "no object is made twice"
    gone = {item.inputs["metadata"]["name"] for urn, item in by_urn(first).items() if urn not in by_urn(second)}
    assert not new & gone, "Pulumi deletes by name"
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


def test_a_preview_without_a_cluster_has_the_first_place() -> None:
    assert {name for kind, name in names(with_surge()) if kind.endswith(":RayCluster")} == {"deepseek"}
    assert surge.PLACES[0] == FIRST


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"endpoint": {"proxy": False}}, "rollout.surge: the proxies send requests to the new engine"),
        ({"rollout": {"surge": 1, "minimumServing": 2}}, "2 of 1 engines cannot serve while one of them is replaced"),
    ],
)
def test_what_a_surge_cannot_do_is_refused(sections: dict[str, Any], told: str) -> None:
    with pytest.raises(pulumi.RunError, match=told):
        run_with(1, **({"rollout": {"surge": 1}} | sections))


def one(stack: Program, kind: str, name: str) -> Registration:
    [found] = [item for item in stack.kubernetes() if item.type.endswith(kind) and item.name == name]
    return found
