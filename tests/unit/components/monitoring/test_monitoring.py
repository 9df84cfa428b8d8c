"""What a Prometheus finds of a stack, whom the policies let in for it, and the stack without monitoring as it was."""

import json
import re
from functools import cache
from typing import Any

import pulumi
import pytest

from components.monitoring.targets import PROGRAM_PORT
from tests.unit.components.registrations import CHECKOUT, Program, run, run_with_key, stack_file
from tests.unit.components.test_network_policies import pod_templates, policy

READ = ("ray", "serving", "download", "endpoint")
TARGETS = (
    ("vllm", "ray", 8000),
    ("ray", "ray", 8080),
    ("supervisor", "serving", 8001),
    ("download", "download", 8001),
    ("endpoint", "endpoint", 8404),
)
IMAGE = f"example.com/haproxy@sha256:{64 * 'a'}"
STACKS = ("dev", "a100-bf16", "h200-fp8")
PROMETHEUS = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}},
    "podSelector": {"matchLabels": {"app.kubernetes.io/name": "prometheus"}},
}


def configured(**keys: Any) -> dict[str, Any]:
    return stack_file("a100-bf16") | {"deepseek:monitoring": {"prometheusNamespace": "monitoring"} | keys}


@cache
def monitored() -> Program:
    return run(configured())


def read_ports(program: Program, component: str) -> list[int]:
    """Return at which ports the policy of a component lets the Prometheus in, and it alone."""
    rules = [rule for rule in policy(program, component).get("ingress", []) if rule.get("from") == [PROMETHEUS]]
    return [port["port"] for rule in rules for port in rule["ports"]]


@pytest.mark.parametrize("stack", STACKS)
def test_without_the_section_nothing_is_there_to_be_read_and_nobody_is_let_in(stack: str) -> None:
    program = run(stack_file(stack))
    made = json.dumps([item.inputs for item in program.kubernetes()], default=str)
    assert "PodMonitor" not in made
    assert "prometheus.io" not in made
    assert not [item for item in program.registrations if item.type == "deepseek:index:Monitoring"]


def test_monitoring_adds_objects_and_changes_only_policies() -> None:
    before, after = run_with_key(stack_file("a100-bf16")).texts(), run_with_key(configured()).texts()
    assert not before.keys() - after.keys()
    changed = {urn.rpartition("$")[2] for urn in before if before[urn] != after[urn]}
    policies = {f"kubernetes:networking.k8s.io/v1:NetworkPolicy::deepseek-{name}" for name in READ}
    assert changed == policies


@pytest.mark.parametrize(("name", "component", "port"), TARGETS)
def test_a_pod_monitor_selects_the_pods_and_a_policy_lets_the_prometheus_in(
    name: str, component: str, port: int
) -> None:
    program = monitored()
    spec = program.one("PodMonitor", f"deepseek-{name}").inputs["spec"]
    assert policy(program, component)["podSelector"]["matchLabels"].items() <= spec["selector"]["matchLabels"].items()
    assert port in read_ports(program, component)


def relabelled(spec: dict[str, Any], labels: dict[str, str]) -> dict[str, str] | None:
    """Return what Prometheus makes of a target's labels; None where it drops it. Its patterns match whole values."""
    found = dict(labels)
    for rule in spec["podMetricsEndpoints"][0]["relabelings"]:
        match = re.fullmatch(rule["regex"], ";".join(found.get(name, "") for name in rule["sourceLabels"]))
        if rule["action"] == "keep" and not match:
            return None
        if rule["action"] == "replace" and match:
            found[rule["targetLabel"]] = match.expand(rule["replacement"].replace("$1", r"\1"))
    return found


@pytest.mark.parametrize(("pod_ip", "address"), [("10.0.0.7", "10.0.0.7:8000"), ("2001:db8::7", "[2001:db8::7]:8000")])
def test_the_address_is_the_pods_whatever_ports_it_declares(pod_ip: str, address: str) -> None:
    spec = monitored().one("PodMonitor", "deepseek-vllm").inputs["spec"]
    labels = {"__meta_kubernetes_pod_ip": pod_ip, "__address__": pod_ip}
    found = relabelled(spec, labels | {"__meta_kubernetes_pod_container_name": "ray"})
    assert found is not None
    assert found["__address__"] == address
    assert relabelled(spec, labels | {"__meta_kubernetes_pod_container_name": "istio-proxy"}) is None


@pytest.mark.parametrize(("name", "component", "port"), TARGETS)
def test_the_container_is_one_of_the_pods_that_the_monitor_selects(name: str, component: str, port: int) -> None:
    program = monitored()
    spec = program.one("PodMonitor", f"deepseek-{name}").inputs["spec"]
    [endpoint], selected = spec["podMetricsEndpoints"], spec["selector"]["matchLabels"]
    wanted = {key: value for key, value in selected.items() if key != "ray.io/node-type"}
    containers = {
        container["name"]
        for _, template in pod_templates(program)
        if wanted.items() <= template["metadata"]["labels"].items()
        for container in template["spec"]["containers"]
    }
    assert containers == {endpoint["relabelings"][0]["regex"]}, (component, port)


def test_the_programs_listen_where_they_are_read() -> None:
    text = (CHECKOUT / "images/shared/metrics.py").read_text()
    assert f"\nPORT = {PROGRAM_PORT}\n" in text


def test_pod_monitors_have_the_labels_by_which_a_prometheus_selects_them() -> None:
    program = run(configured(labels={"release": "kube-prometheus-stack"}))
    monitors = [item for item in program.kubernetes() if item.type.endswith((":PodMonitor", ":PrometheusRule"))]
    assert len(monitors) == len(TARGETS) + 2
    for item in monitors:
        labels = item.inputs["metadata"]["labels"]
        assert labels["release"] == "kube-prometheus-stack"
        assert labels["app.kubernetes.io/name"] == "deepseek"


def test_where_there_is_no_operator_annotated_services_have_the_same_pods() -> None:
    program = run(configured(scrape="annotations"))
    assert not [item for item in program.kubernetes() if "monitoring.coreos.com" in item.type]
    for name, _, port in TARGETS:
        service = program.one("Service", f"deepseek-metrics-{name}").inputs
        annotations, spec = service["metadata"]["annotations"], service["spec"]
        assert annotations["prometheus.io/scrape"] == "true"
        assert annotations["prometheus.io/port"] == str(port)
        assert (spec["clusterIP"], spec["publishNotReadyAddresses"]) == ("None", True)
        monitor = monitored().one("PodMonitor", f"deepseek-{name}").inputs["spec"]
        assert spec["selector"] == monitor["selector"]["matchLabels"]


def test_behind_proxies_the_prometheus_reaches_vllm_and_clients_still_do_not() -> None:
    endpoint = {"proxy": True, "image": IMAGE}
    program = run(configured() | {"deepseek:endpoint": endpoint})
    assert read_ports(program, "ray") == [8080, 8000]
    assert read_ports(program, "endpoint") == [8404]
    spec = program.one("PodMonitor", "deepseek-endpoint").inputs["spec"]
    template = program.one("Deployment", "deepseek-endpoint").inputs["spec"]["template"]
    assert spec["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert spec["podMetricsEndpoints"][0]["relabelings"][0]["regex"] == template["spec"]["containers"][0]["name"]
    assert all("from" in rule for rule in policy(program, "ray")["ingress"])


def test_proxies_with_tls_are_also_read_where_they_tell_the_end_of_their_certificate() -> None:
    door = {"proxy": True, "image": IMAGE, "host": "llm.example.com", "tlsSecret": "door-tls"}
    program = run(configured() | {"deepseek:endpoint": door})
    paths = {
        name: program.one("PodMonitor", f"deepseek-{name}").inputs["spec"]["podMetricsEndpoints"][0]["path"]
        for name in ("endpoint", "certificate")
    }
    assert paths == {"endpoint": "/metrics", "certificate": "/certificate"}
    annotated = run(configured(scrape="annotations") | {"deepseek:endpoint": door})
    annotations = annotated.one("Service", "deepseek-metrics-certificate").inputs["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] == "/certificate"
    files = next(
        item.inputs["data"]
        for item in program.kubernetes()
        if item.name == "deepseek-endpoint" and item.type.endswith(":ConfigMap")
    )
    assert "certificate_end.lua" in files
    without = run(configured() | {"deepseek:endpoint": {"proxy": True, "image": IMAGE}})
    assert not [item for item in without.kubernetes() if item.name == "deepseek-certificate"]


def test_the_metrics_can_be_read_before_anything_serves() -> None:
    program = monitored()
    [monitoring] = [item for item in program.registrations if item.type == "deepseek:index:Monitoring"]
    made = {item.urn for item in program.kubernetes() if not item.type.endswith(":NetworkPolicy")}
    assert not made & set(monitoring.request.dependencies)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"labels": {"release": "x"}}, r"monitoring\.prometheusNamespace: is not set, so that monitoring\.labels "),
        ({"prometheusNamespace": "m", "labels": {"ray.io/x": "y"}}, r"monitoring\.labels\.ray\.io/x: belongs to"),
        ({"prometheusNamespace": "m", "labels": {"release": "a b"}}, r"monitoring\.labels\.release: 'a b' is no value"),
        ({"prometheusNamespace": "m", "prometheusLabels": {}}, r"monitoring\.prometheusLabels: are none"),
        ({"prometheusNamespace": "m", "prometheusLabels": {"a//b": ""}}, r"monitoring\.prometheusLabels\.a//b: is no "),
        ({"prometheusNamespace": "m", "firstTokenSeconds": 0}, r"monitoring\.firstTokenSeconds: "),
        ({"prometheusNamespace": "m", "alertAfter": "10s"}, r"monitoring\.alertAfter: "),
        ({"prometheusNamespace": "m", "scrape": "push"}, r"monitoring\.scrape: "),
    ],
)
def test_bad_keys_are_refused(keys: dict[str, Any], told: str) -> None:
    with pytest.raises(pulumi.RunError, match=told):
        run(stack_file("a100-bf16") | {"deepseek:monitoring": keys})


def test_the_alert_that_follows_a_measurement_does_not_hold_up_the_others() -> None:
    on = {"deepseek:benchmark": {"enabled": True}}
    program = run(configured() | on)
    early, late = (program.one("PrometheusRule", name) for name in ("deepseek", "deepseek-speed"))
    job = program.one("Job", "benchmark").urn
    assert job in late.request.dependencies
    assert job not in early.request.dependencies
    annotated = run(configured(scrape="annotations") | on)
    assert not [item for item in annotated.kubernetes() if "monitoring.coreos.com" in item.type]


def test_that_nothing_is_served_is_told_of_a_stack_that_has_served() -> None:
    program = run(configured())
    early, late = (program.one("PrometheusRule", name) for name in ("deepseek", "deepseek-serving"))
    gate = program.one("Job", "gate").urn
    assert gate in late.request.dependencies
    assert gate not in early.request.dependencies
    annotated = run(configured(scrape="annotations"))
    assert not [item for item in annotated.kubernetes() if "monitoring.coreos.com" in item.type]
