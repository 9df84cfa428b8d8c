"""The door as the program asks for it, and the stack without it."""

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pulumi
import pytest

from components.endpoint.proxy_pod import START
from tests.unit.components.registrations import Program, run, run_with_key, stack_file
from tests.unit.components.test_network_policies import policy

STACKS = ("dev", "a100-bf16", "h200-fp8")


IMAGE = f"docker.io/library/haproxy:2.6-trixie@sha256:{64 * 'a'}"


def configured(**keys: Any) -> dict[str, Any]:
    return stack_file("a100-bf16") | {"deepseek:endpoint": {"image": IMAGE} | keys}


def without_proxies(stack: str = "a100-bf16") -> Program:
    return run(stack_file(stack) | {"deepseek:endpoint": {"proxy": False}})


@cache
def with_proxies() -> Program:
    return run(configured())


def pod_template(program: Program) -> dict[str, Any]:
    return program.one("Deployment", "deepseek-endpoint").inputs["spec"]["template"]


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_may_do_without_proxies_and_then_the_service_selects_the_head(stack: str) -> None:
    program = without_proxies(stack)
    assert not [item for item in program.kubernetes() if "endpoint" in item.name or "engine" in item.name]
    selected = program.one("Service", "deepseek").inputs["spec"]["selector"]
    assert selected == {"ray.io/cluster": "deepseek", "ray.io/node-type": "head"}


def test_the_proxies_add_objects_and_change_only_the_service_the_gate_and_three_policies() -> None:
    without = stack_file("a100-bf16") | {"deepseek:endpoint": {"proxy": False}}
    before, after = run_with_key(without).texts(), run_with_key(configured()).texts()
    gone = {urn.rpartition("$")[2] for urn in before.keys() - after.keys()}
    assert gone == {"kubernetes:networking.k8s.io/v1:NetworkPolicy::deepseek-clients"}, "the Service stays the same"
    changed = {urn.rpartition("$")[2] for urn in before.keys() & after.keys() if before[urn] != after[urn]}
    assert changed == {
        "kubernetes:core/v1:Service::deepseek",
        "kubernetes:batch/v1:Job::gate",  # asks the engine by itself, too
        "kubernetes:rbac.authorization.k8s.io/v1:Role::gate-role",  # has the gate's name
        "kubernetes:networking.k8s.io/v1:NetworkPolicy::deepseek-ray",
        "kubernetes:networking.k8s.io/v1:NetworkPolicy::deepseek-gate",
        "kubernetes:networking.k8s.io/v1:NetworkPolicy::deepseek-serving",
    }


def test_clients_are_sent_to_the_proxies_and_the_proxies_to_the_head() -> None:
    program = with_proxies()
    door, engine = program.one("Service", "deepseek"), program.one("Service", "deepseek-engine")
    labels = pod_template(program)["metadata"]["labels"]
    assert door.inputs["spec"]["selector"].items() <= labels.items()
    assert engine.inputs["spec"]["selector"] == {"ray.io/cluster": "deepseek", "ray.io/node-type": "head"}
    [configuration] = [
        item.inputs["data"]["haproxy.cfg"]
        for item in program.kubernetes()
        if item.name == "deepseek-endpoint" and "data" in item.inputs
    ]
    assert f'server vllm "{engine.inputs["metadata"]["name"]}${{DOMAIN}}:8000" ' in configuration


def test_the_service_is_pointed_at_the_proxies_when_they_are_ready() -> None:
    program = with_proxies()
    deployment = program.one("Deployment", "deepseek-endpoint")
    [server] = [item for item in program.registrations if item.type == "deepseek:index:VllmServer"]
    assert deployment.urn in server.request.dependencies
    assert "skipAwait" not in json.dumps(deployment.inputs, default=str)


def test_only_the_proxies_the_supervisor_and_the_gate_reach_vllm() -> None:
    program = with_proxies()
    _, _, to_model = policy(program, "ray")["ingress"]
    selectors = [{"podSelector": policy(program, name)["podSelector"]} for name in ("endpoint", "serving", "gate")]
    assert to_model == {"from": selectors, "ports": [{"protocol": "TCP", "port": 8000}]}
    assert policy(program, "endpoint")["ingress"] == [{"ports": [{"protocol": "TCP", "port": 8000}]}]
    ray = {"podSelector": policy(program, "ray")["podSelector"]}
    assert {"to": [ray], "ports": [{"protocol": "TCP", "port": 8000}]} in policy(program, "endpoint")["egress"]
    assert {"to": selectors[:1], "ports": [{"protocol": "TCP", "port": 8000}]} in policy(program, "gate")["egress"]


def test_the_proxies_ask_the_supervisor_also_while_it_ends() -> None:
    program = with_proxies()
    service, pod = program.one("Service", "deepseek-supervisor"), program.one("Job", "serve").inputs["spec"]["template"]
    assert service.inputs["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert service.inputs["spec"]["publishNotReadyAddresses"]
    [port] = [item["port"] for item in service.inputs["spec"]["ports"]]
    assert {"name": "AGENT_PORT", "value": str(int(port))} in pod["spec"]["containers"][0]["env"]
    proxies = {"podSelector": policy(program, "endpoint")["podSelector"]}
    supervisor = {"podSelector": policy(program, "serving")["podSelector"]}
    ports = [{"protocol": "TCP", "port": port}]
    [asking] = policy(program, "serving")["ingress"]
    assert proxies in asking["from"]
    assert asking["ports"] == ports
    assert {"to": [supervisor], "ports": ports} in policy(program, "endpoint")["egress"]
    assert "ingress" not in policy(without_proxies(), "serving")


def test_a_proxy_is_sealed_and_finishes_its_answers() -> None:
    pod = pod_template(with_proxies())["spec"]
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert "kill -USR1 1" in container["lifecycle"]["preStop"]["exec"]["command"][-1]
    assert pod["terminationGracePeriodSeconds"] > 3600


@pytest.mark.parametrize(
    ("address", "resolv_conf", "told"),
    [
        ("10.0.0.1", "search models.svc.example.com svc.example.com\n", "0.0.0.0 ipv4 .models.svc.example.com"),
        ("fd00::1", "nameserver fd00::a\nsearch\tmodels.svc.cluster.local\n", ":: ipv6 .models.svc.cluster.local"),
        ("10.0.0.1", "nameserver 10.0.0.10\n", "0.0.0.0 ipv4 "),
    ],
)
def test_a_proxy_starts_with_what_its_pod_knows(address: str, resolv_conf: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text(resolv_conf)
    (tmp_path / "haproxy").write_text('#!/bin/sh\necho "$LISTEN $FAMILY $DOMAIN"\n')
    (tmp_path / "haproxy").chmod(0o755)
    start = START.replace("/etc/resolv.conf", str(tmp_path / "resolv.conf"))
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "POD_IP": address}
    done = subprocess.run(["sh", "-c", start], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"{told}\n"


def test_a_drained_node_leaves_one_proxy_of_two() -> None:
    program = with_proxies()
    spec = program.one("Deployment", "deepseek-endpoint").inputs["spec"]
    budget = program.one("PodDisruptionBudget", "deepseek-endpoint").inputs["spec"]
    assert (spec["replicas"], budget["maxUnavailable"]) == (2, 1)
    assert budget["selector"]["matchLabels"] == spec["selector"]["matchLabels"]


def test_the_image_is_the_named_one_or_docker_hubs_by_digest_or_comes_from_a_mirror_of_ones_own() -> None:
    def image(program: Program) -> str:
        return pod_template(program)["spec"]["containers"][0]["image"]

    assert image(with_proxies()) == IMAGE
    shipped = stack_file("a100-bf16")
    assert re.fullmatch(r"docker\.io/library/haproxy:2\.6-trixie@sha256:[0-9a-f]{64}", image(run(shipped)))
    mirrored = shipped | {"deepseek:image": shipped["deepseek:image"] | {"mirror": "mirror.example.com"}}
    assert image(run(mirrored)) == "mirror.example.com/library/haproxy:2.6-trixie"


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("https://example.com/haproxy:1", r"endpoint\.image: .*scheme"),
        ("example.com/haproxy:1", r"endpoint\.image: 'example.com/haproxy:1' has no digest(?s:.)*@sha256:"),
    ],
)
def test_an_image_that_no_registry_takes_or_that_may_become_another_is_refused(image: str, said: str) -> None:
    with pytest.raises(pulumi.RunError, match=said):
        run(configured(image=image))
