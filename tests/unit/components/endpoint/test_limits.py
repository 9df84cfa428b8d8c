"""Limits of keys: the pod that counts, who reaches it, and what is refused."""

from functools import cache
from typing import Any

import pytest

from tests.unit.components.endpoint.test_keys import TEAM_A, TEAM_B, refusal, started
from tests.unit.components.registrations import Program
from tests.unit.components.test_network_policies import policy
from tests.unit.planning.stacks import plan

KEYS = {"team-a": TEAM_A, "team-b": TEAM_B}
COUNTER = "deepseek-endpoint-limits"


def limited(limits: Any) -> Program:
    return started(KEYS, endpoint={"proxy": True, "image": f"example.com/haproxy@sha256:{64 * 'a'}", "keys": limits})


@cache
def with_limits() -> Program:
    return limited({"team-a": {"requestsPerMinute": 600, "concurrency": 32}})


def configuration(program: Program, name: str) -> str:
    [text] = [
        item.inputs["data"]["haproxy.cfg"]
        for item in program.kubernetes()
        if item.name == name and "haproxy.cfg" in item.inputs.get("data", ())
    ]
    return text


def test_one_pod_counts_before_the_proxies_send_to_it() -> None:
    program = with_limits()
    deployment, service = program.one("Deployment", COUNTER), program.one("Service", COUNTER)
    assert deployment.inputs["spec"]["replicas"] == 1
    labels = deployment.inputs["spec"]["template"]["metadata"]["labels"]
    assert service.inputs["spec"]["selector"].items() <= labels.items()
    assert not program.one("Service", "deepseek").inputs["spec"]["selector"].items() <= labels.items()
    assert deployment.urn in service.request.dependencies
    [port, metrics] = deployment.inputs["spec"]["template"]["spec"]["containers"][0]["ports"]
    assert port["containerPort"] == service.inputs["spec"]["ports"][0]["port"]
    assert metrics["name"] == "metrics"
    assert f'"{COUNTER}${{DOMAIN}}:8001"' in configuration(program, "deepseek-endpoint")


def test_the_pod_that_counts_knows_limits_and_no_keys() -> None:
    program = with_limits()
    text = configuration(program, COUNTER)
    assert "-m str team-a } { sc0_gpc0_rate ge 600 }" in text
    assert "-m str team-a } { sc0_conn_cur gt 32 }" in text
    assert "team-b" not in text + configuration(program, "deepseek-endpoint")
    pod = program.one("Deployment", COUNTER).inputs["spec"]["template"]["spec"]
    assert [volume["name"] for volume in pod["volumes"]] == ["configuration"]


def test_only_proxies_reach_the_pod_that_counts_and_it_reaches_vllm() -> None:
    program = with_limits()
    own, proxies, ray = (
        {"podSelector": policy(program, name)["podSelector"]} for name in ("limits", "endpoint", "ray")
    )
    counts = [{"protocol": "TCP", "port": 8001}]
    assert policy(program, "limits")["ingress"] == [{"from": [proxies], "ports": counts}]
    assert {"to": [own], "ports": counts} in policy(program, "endpoint")["egress"]
    assert {"to": [ray], "ports": [{"protocol": "TCP", "port": 8000}]} in policy(program, "limits")["egress"]
    assert own in policy(program, "ray")["ingress"][2]["from"]


def test_without_limits_there_is_no_such_pod() -> None:
    program = limited({})
    assert not [item for item in program.kubernetes() if "limits" in item.name]
    assert "counter" not in configuration(program, "deepseek-endpoint")


def test_what_is_wrong_with_limits_is_said_by_key_at_once() -> None:
    said = refusal(
        KEYS,
        endpoint={
            "keys": {
                "team-a": {},
                "team-b": {"requestsPerMinute": 0, "tokens": 5},
                "team-c": {"concurrency": 1},
                "apiKey": {"concurrency": 1},
            }
        },
    )
    assert "endpoint.keys.team-b.requestsPerMinute: " in said
    assert "endpoint.keys.team-b.tokens: is not a key" in said
    assert "one of requestsPerMinute, concurrency" in said
    assert "endpoint.keys.team-c: apiKeys has no such name" in said
    assert "endpoint.keys.apiKey: apiKeys has no such name" in said


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ({"proxy": True, "keys": {"team-a": {}}}, "endpoint.keys.team-a: has no limit"),
        ({"proxy": False, "keys": {"team-a": {"concurrency": 1}}}, "endpoint.keys: needs the proxies"),
    ],
)
def test_the_plan_refuses_a_limit_that_limits_nobody(endpoint: dict[str, Any], said: str) -> None:
    [problem] = plan(endpoint={"image": f"example.com/haproxy@sha256:{64 * 'a'}", **endpoint}).problems
    assert said in str(problem)
