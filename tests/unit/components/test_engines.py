"""A stack with `serving.engines: 2`: the second is beside the first, and each is replaced in its turn."""

import json
from functools import cache
from typing import Any

import pulumi
import pytest

from components.shared.engine_names import AGENT_PORT
from planning.settings.sections.rollout import LONGEST_DRAIN_SECONDS
from tests.unit.components.registrations import Program, Registration, run_with_key, stack_file

PINNED = f"docker.io/library/haproxy:2.6-bookworm@sha256:{64 * '0'}"


def configured(engines: int, **sections: Any) -> dict[str, Any]:
    config = stack_file("a100-bf16") | {"deepseek:endpoint": {"proxy": True, "image": PINNED}}
    config["deepseek:serving"] = config.get("deepseek:serving", {}) | {"engines": engines}
    return config | {f"deepseek:{name}": keys for name, keys in sections.items()}


def run_with(engines: int, **sections: Any) -> Program:
    return run_with_key(configured(engines, **sections))


@cache
def program(engines: int) -> Program:
    return run_with(engines)


def text_of(item: Registration) -> str:
    return json.dumps(item.inputs, default=lambda _: "unknown", sort_keys=True)


def by_urn(stack: Program) -> dict[str, Registration]:
    return {item.urn: item for item in stack.kubernetes()}


def test_a_third_engine_changes_nothing_of_the_two_that_serve() -> None:
    two, three = by_urn(program(2)), by_urn(program(3))
    assert two.keys() <= three.keys()
    kinds = {two[urn].type.rpartition(":")[2] for urn in two if text_of(two[urn]) != text_of(three[urn])}
    assert kinds == {
        "PodDisruptionBudget",  # counts the new pods
        "Job",  # the turns ask three
        "ConfigMap",  # so do the proxies
        "Deployment",
    }
    replaced = {two[urn].name for urn in two if text_of(two[urn]) != text_of(three[urn])}
    assert not replaced & {"serve", "serve-1", "gate", "gate-1"}


def test_pods_of_several_engines_wait_until_their_engine_has_ended_its_answers() -> None:
    one, two = program(1), program(2)
    for number, name in enumerate(("deepseek", "deepseek-1")):
        spec = two.one("RayCluster", name).inputs["spec"]
        head, worker = (group["template"]["spec"] for group in (spec["headGroupSpec"], spec["workerGroupSpecs"][0]))
        service, supervisor = (
            two.one("Service", f"deepseek-{kind}{f'-{number}' if number else ''}").inputs
            for kind in ("engine", "supervisor")
        )
        for pod in (head, worker):
            [container] = pod["containers"]
            assert container["lifecycle"] == {"preStop": {"exec": {"command": ["python3", "-m", "leaving"]}}}
            given = {item["name"]: item.get("value") for item in container["env"]}
            assert given["SUPERVISOR"] == supervisor["metadata"]["name"]
            assert given["AGENT_PORT"] == str(int(supervisor["spec"]["ports"][0]["port"]))
            assert given["ENGINE_SERVICE"] == service["metadata"]["name"]
            assert pod["terminationGracePeriodSeconds"] > LONGEST_DRAIN_SECONDS
        assert "worker_readiness" in worker["containers"][0]["readinessProbe"]["exec"]["command"]
        serve = two.one("Job", f"serve{f'-{number}' if number else ''}").inputs["spec"]["template"]["spec"]
        assert {"name": "RAY_CLUSTER", "value": name} in serve["containers"][0]["env"]
    alone = text_of(one.one("RayCluster", "deepseek"))
    assert "leaving" not in alone
    assert "terminationGracePeriodSeconds" not in alone


def test_of_several_engines_one_pod_at_a_time_may_go_and_all_of_one_that_does_not_serve() -> None:
    [budget] = [item.inputs for item in program(2).kubernetes() if is_budget_of_ray(item)]
    assert budget["spec"]["minAvailable"] == 2 * 4 - 1
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    labels = budget["spec"]["selector"]["matchLabels"]
    for name in ("deepseek", "deepseek-1"):
        spec = program(2).one("RayCluster", name).inputs["spec"]
        assert labels.items() <= spec["headGroupSpec"]["template"]["metadata"]["labels"].items()
        assert labels.items() <= spec["workerGroupSpecs"][0]["template"]["metadata"]["labels"].items()
    [alone] = [item.inputs for item in program(1).kubernetes() if is_budget_of_ray(item)]
    assert alone["spec"] == {"minAvailable": 4, "selector": {"matchLabels": {"ray.io/cluster": "deepseek"}}}


def test_a_ray_pod_that_goes_may_ask_its_supervisor() -> None:
    policies = {
        item.name: item.inputs["spec"] for item in program(2).kubernetes() if item.type.endswith("NetworkPolicy")
    }
    ray, serving = policies["deepseek-ray"], policies["deepseek-serving"]
    [port] = program(2).one("Service", "deepseek-supervisor").inputs["spec"]["ports"]
    ports = [{"protocol": "TCP", "port": port["port"]}]
    assert {"to": [{"podSelector": serving["podSelector"]}], "ports": ports} in ray["egress"]
    [asking] = [rule for rule in serving["ingress"] if rule["ports"] == ports]
    assert {"podSelector": ray["podSelector"]} in asking["from"]


def test_a_ray_pod_on_the_nodes_network_may_ask_its_supervisor_too() -> None:
    stack = run_with(2, network={"hostNetwork": True, "hostNetworkIsTrusted": True})
    [serving] = [item.inputs["spec"] for item in stack.kubernetes() if item.name == "deepseek-serving"]
    [asking] = [rule for rule in serving["ingress"] if rule["ports"][0]["port"] == AGENT_PORT]
    assert [peer["ipBlock"]["cidr"] for peer in asking["from"] if "ipBlock" in peer] == ["0.0.0.0/0", "::/0"]


def is_budget_of_ray(item: Registration) -> bool:
    return item.type.endswith(":PodDisruptionBudget") and "endpoint" not in item.name


def test_one_engine_has_the_names_and_labels_of_a_stack_that_knew_no_others() -> None:
    one = program(1)
    for item in one.kubernetes():
        assert not item.name.endswith("-1")
        assert "deepseek-on-kubernetes/engine" not in text_of(item)
    described = one.one("Job", "serve").inputs
    assert described["spec"]["template"]["metadata"]["labels"] == described["metadata"]["labels"]
    unset = configured(1)
    del unset["deepseek:serving"]["engines"]
    assert run_with_key(unset).texts() == one.texts()


def test_the_second_engine_is_as_the_first_and_numbered() -> None:
    two = program(2)
    first, second = (two.one("RayCluster", name).inputs for name in ("deepseek", "deepseek-1"))
    of_first = json.dumps(second["spec"]).replace("head-1-", "head-").replace("deepseek-1", "deepseek")
    of_first = of_first.replace("deepseek-engine-1", "deepseek-engine").replace("-supervisor-1", "-supervisor")
    assert json.loads(of_first) == first["spec"]
    assert second["metadata"]["name"] == "deepseek-1"
    new = [item for urn, item in by_urn(two).items() if urn not in by_urn(program(1))]
    names = [item.inputs["metadata"]["name"] for item in two.kubernetes()]
    kinds = [(item.type, name) for item, name in zip(two.kubernetes(), names, strict=True)]
    assert len(kinds) == len(set(kinds)), "no object is made twice"
    assert all("-1" in item.name or item.name.startswith("turn-") for item in new)


def test_each_engine_is_asked_by_itself_and_clients_come_to_all() -> None:
    two = program(2)
    for job, host in (("gate", "deepseek-engine"), ("gate-1", "deepseek-engine-1")):
        [container] = two.one("Job", job).inputs["spec"]["template"]["spec"]["containers"]
        assert {"name": "ENDPOINT", "value": f"http://{host}:8000"} in container["env"]
        assert {"name": "DOOR", "value": "http://deepseek:8000"} in container["env"]
    for number, name in enumerate(("deepseek-supervisor", "deepseek-supervisor-1")):
        selector = two.one("Service", name).inputs["spec"]["selector"]
        job = two.one("Job", "serve" if number == 0 else "serve-1")
        assert selector.items() <= job.inputs["spec"]["template"]["metadata"]["labels"].items()
        other = two.one("Job", "serve-1" if number == 0 else "serve")
        assert not selector.items() <= other.inputs["spec"]["template"]["metadata"]["labels"].items()
    [configuration] = [
        item.inputs["data"]["haproxy.cfg"]
        for item in two.kubernetes()
        if item.name == "deepseek-endpoint" and "data" in item.inputs
    ]
    assert "balance leastconn" in configuration
    assert "server vllm " in configuration
    assert "server vllm-1 " in configuration


def test_engines_end_side_by_side() -> None:
    """No object of the second depends on one of the first: a destroy would wait for one drain after the other."""
    two = by_urn(program(2))
    of_second = {urn: item for urn, item in two.items() if "FurtherEngine" in urn}
    of_first = {urn for urn in two if urn.endswith(("::serve", "::gate", "RayCluster::deepseek"))}
    assert len(of_first) == 3
    for item in of_second.values():
        assert not of_first & set(item.request.dependencies)


def test_a_change_waits_for_its_turn_and_one_of_bounds_does_not() -> None:
    def turns(**sections: Any) -> dict[str, str]:
        stack = run_with(2, **sections)
        return {
            item.name: item.inputs["metadata"]["name"]
            for item in stack.kubernetes()
            if item.type.endswith(":Job") and item.name.startswith("turn-")
        }

    before = turns()
    assert before.keys() == {"turn-cluster", "turn-serve", "turn-cluster-1", "turn-serve-1"}
    flags = {"engines": 2, "maxModelLen": 4096}
    changed = turns(serving=flags)
    assert {name for name in before if before[name] != changed[name]} == {"turn-serve", "turn-serve-1"}
    assert turns(rollout={"drainTimeout": "3m"}) == before


@pytest.mark.parametrize(
    ("sections", "told"),
    [
        ({"endpoint": {"proxy": False}}, "serving.engines: 2 engines need the proxies"),
        ({"rollout": {"minimumServing": 2}}, "at most 1 can serve while one of 2 is replaced, and 2 are to"),
        (
            {
                "storage": {"size": "3Ti", "accessMode": "ReadWriteOnce"},
                "hardware": {"gpu": "NVIDIA-H200", "gpusPerNode": 8, "nodes": 1},
            },
            "ReadWriteOnce serves one node",
        ),
    ],
)
def test_what_several_engines_cannot_do_is_refused(sections: dict[str, Any], told: str) -> None:
    with pytest.raises(pulumi.RunError, match=told):
        run_with(2, **sections)
