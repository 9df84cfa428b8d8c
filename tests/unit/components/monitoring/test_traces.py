"""Traces: the collector that vLLM is told, and that its pods may connect to."""

import json
from typing import Any

import pulumi
import pytest

from tests.unit.components.registrations import Program, run, stack_file
from tests.unit.components.test_network_policies import METADATA, policy, reaches

ALL_PODS: dict[str, Any] = {"podSelector": {"matchLabels": {}}}


def traced(endpoint: str, **sections: Any) -> Program:
    return run(stack_file("a100-bf16") | {"deepseek:monitoring": {"tracesEndpoint": endpoint}, **sections})


def supervisor_environment(program: Program) -> dict[str, Any]:
    [container] = program.one("Job", "serve").inputs["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable.get("value") for variable in container["env"]}


def egress_to(program: Program, port: int) -> list[dict[str, Any]]:
    """Return where Ray pods may connect at a port, beside addresses."""
    rules = [
        rule for rule in policy(program, "ray")["egress"] if {"protocol": "TCP", "port": port} in rule.get("ports", ())
    ]
    return [peer for rule in rules for peer in rule["to"] if "ipBlock" not in peer]


def test_vllm_sends_spans_under_the_stacks_name() -> None:
    environment = supervisor_environment(traced("http://otel-collector.monitoring:4317"))
    arguments = json.loads(environment["VLLM_ARGUMENTS"])
    assert "--otlp-traces-endpoint=http://otel-collector.monitoring:4317" in arguments
    assert json.loads(environment["VLLM_ENVIRONMENT"]) == {"OTEL_SERVICE_NAME": "vllm-unit"}


def test_extra_args_come_after_it_and_count() -> None:
    serving = {"extraArgs": ["--otlp-traces-endpoint=http://other:4317"]}
    environment = supervisor_environment(traced("http://c:4317", **{"deepseek:serving": serving}))
    arguments = json.loads(environment["VLLM_ARGUMENTS"])
    assert [item for item in arguments if "otlp" in item][-1] == serving["extraArgs"][0]


def test_without_a_collector_nothing_is_sent_and_nobody_is_let_out() -> None:
    program = run(stack_file("a100-bf16"))
    environment = supervisor_environment(program)
    assert "otlp" not in environment["VLLM_ARGUMENTS"]
    assert "VLLM_ENVIRONMENT" not in environment
    assert not reaches(policy(program, "ray"), "192.0.2.1", 4317)


@pytest.mark.parametrize(
    ("endpoint", "pods"),
    [
        (
            "http://otel-collector.monitoring:4317",
            [
                {
                    **ALL_PODS,
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}},
                }
            ],
        ),
        ("http://otel-collector:4317", [ALL_PODS]),
    ],
)
def test_ray_pods_reach_a_collector_by_its_name(endpoint: str, pods: list[dict[str, Any]]) -> None:
    program = traced(endpoint)
    assert egress_to(program, 4317) == pods
    assert reaches(policy(program, "ray"), "192.0.2.1", 4317)
    assert not any(reaches(policy(program, "ray"), address, 4317) for address in METADATA)
    assert not reaches(policy(program, "ray"), "192.0.2.1", 4318)


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [("http://192.0.2.7:4317", "192.0.2.7"), ("http://[2001:db8::7]:4317", "2001:db8::7")],
)
def test_ray_pods_reach_a_collector_by_its_address_and_no_other(endpoint: str, address: str) -> None:
    ray = policy(traced(endpoint), "ray")
    assert reaches(ray, address, 4317)
    assert not reaches(ray, "192.0.2.8", 4317)


@pytest.mark.parametrize(
    "endpoint",
    [
        "otel-collector:4317",
        "https://otel-collector:4317",
        "http://otel-collector",
        "http://c:4317/v1/traces",
        "http://c:0",
        "http://c:65536",
        "http://c..monitoring:4317",
        "http://[:::]:4317",
    ],
)
def test_what_vllm_would_not_send_to_is_refused(endpoint: str) -> None:
    with pytest.raises(pulumi.RunError, match=r"monitoring\.tracesEndpoint"):
        traced(endpoint)
