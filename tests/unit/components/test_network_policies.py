"""Which pods of the stack may talk to whom: every pod has one NetworkPolicy, and what it needs is in it."""

import itertools
import json
import re
from collections.abc import Iterator
from functools import cache
from ipaddress import ip_address, ip_network
from typing import Any, cast

import pulumi
import pytest
import yaml

from tests.unit.components.registrations import Program, run, stack_file

STACKS = ("dev", "a100-bf16", "h200-fp8")
METADATA = ("169.254.169.254", "169.254.170.2", "168.63.129.16", "100.100.100.200", "fd00:ec2::254", "fe80::1")
REPOSITORY = "https://huggingface.co/opensourcerelease/DeepSeek-V3-bf16"


def configured(**sections: dict[str, Any]) -> dict[str, Any]:
    """Return the article's stack with these keys changed, and with the Job that removes revisions."""
    config = stack_file("a100-bf16")
    config["deepseek:storage"]["otherRevisions"] = "remove"
    for name, keys in sections.items():
        config[f"deepseek:{name}"] = config.get(f"deepseek:{name}", {}) | keys
    return config


@cache
def article() -> Program:
    return run(configured(endpoint={"proxy": False}))


def pod_templates(stack: Program) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return every pod template of a stack, wherever in an object it stands, with the object's name."""

    def within(node: Any) -> Iterator[dict[str, Any]]:
        if isinstance(node, list):
            for item in cast("list[Any]", node):
                yield from within(item)
        elif isinstance(node, dict):
            fields = cast("dict[str, Any]", node)
            if "containers" in fields.get("spec", {}):
                yield fields
            for item in fields.values():
                yield from within(item)

    for item in stack.kubernetes():
        for template in within(item.inputs):
            yield item.name, template


def policies_of(stack: Program, labels: dict[str, str]) -> list[dict[str, Any]]:
    """Return the specifications of the NetworkPolicies that select a pod with these labels."""
    specs = [item.inputs["spec"] for item in stack.kubernetes() if item.type.endswith(":NetworkPolicy")]
    return [spec for spec in specs if spec["podSelector"]["matchLabels"].items() <= labels.items()]


def policy(stack: Program, component: str) -> dict[str, Any]:
    return stack.one("NetworkPolicy", f"deepseek-{component}").inputs["spec"]


def reaches(spec: dict[str, Any], address: str, port: int, protocol: str = "TCP") -> bool:
    """Tell whether a policy lets its pods connect to an address that is no pod's."""
    return any(
        _has_port(rule, port, protocol) and ("to" not in rule or any(_is_in(address, peer) for peer in rule["to"]))
        for rule in spec.get("egress", ())
    )


def _has_port(rule: dict[str, Any], port: int, protocol: str) -> bool:
    ports = rule.get("ports", [{"protocol": protocol}])
    return any((item.get("port", port), item["protocol"]) == (port, protocol) for item in ports)


def _is_in(address: str, peer: dict[str, Any]) -> bool:
    block = peer.get("ipBlock")
    if block is None or ip_address(address) not in ip_network(block["cidr"]):
        return False
    return not any(ip_address(address) in ip_network(part) for part in block.get("except", ()))


@pytest.mark.parametrize("stack", STACKS)
def test_every_pod_has_exactly_one_policy_and_it_holds_in_and_out(stack: str) -> None:
    config = stack_file(stack)
    config["deepseek:storage"] |= {"otherRevisions": "remove"}
    program = run(config | {"deepseek:benchmark": {"enabled": True}})
    templates = list(pod_templates(program))
    names = {name for name, _ in templates}
    jobs = {"build-fetch", "build-ray-vllm", "mount", "claim", "download", "serve", "gate", "benchmark", "remove"}
    assert jobs | {"deepseek", "deepseek-endpoint"} == names
    for name, template in templates:
        [spec] = policies_of(program, template["metadata"]["labels"])
        assert sorted(spec["policyTypes"]) == ["Egress", "Ingress"], name


@pytest.mark.parametrize("stack", STACKS)
def test_every_policy_is_there_before_the_pods_that_it_selects(stack: str) -> None:
    program = run(stack_file(stack))
    policies = [item for item in program.registrations if item.type.endswith(":NetworkPolicies")]
    made = {item.urn for item in program.kubernetes() if item.type.endswith(":NetworkPolicy")}
    assert len(policies) == 1
    for item in program.registrations:
        if item.type.startswith("deepseek:") and item not in policies:
            assert made <= set(item.request.dependencies), item.name


def test_another_stack_in_the_namespace_is_not_selected() -> None:
    program = article()
    labels = dict(next(template for name, template in pod_templates(program) if name == "gate")["metadata"]["labels"])
    assert policies_of(program, labels)
    assert not policies_of(program, labels | {"app.kubernetes.io/instance": "other"})


def test_a_ray_pod_reaches_its_peers_and_dns_and_nothing_else() -> None:
    program = article()
    ray = {"podSelector": {"matchLabels": policy(program, "ray")["podSelector"]["matchLabels"]}}
    dns = {
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
    }
    ports = [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
    assert policy(program, "ray")["egress"] == [{"to": [ray]}, {"to": [dns], "ports": ports}]


def test_only_ray_pods_reach_a_rays_pods_ports_but_for_the_models_and_the_supervisors() -> None:
    program = article()
    own, supervisor = policy(program, "ray")["ingress"]
    assert own == {"from": [{"podSelector": policy(program, "ray")["podSelector"]}]}
    assert supervisor["from"] == [{"podSelector": policy(program, "serving")["podSelector"]}]
    assert supervisor["ports"] == [{"protocol": "TCP", "port": 8265}]
    clients = policy(program, "clients")
    assert clients["podSelector"] == policy(program, "ray")["podSelector"]
    assert clients["ingress"] == [{"ports": [{"protocol": "TCP", "port": 8000}]}]
    assert clients["policyTypes"] == ["Ingress"]


@pytest.mark.parametrize("component", ["image", "mount", "claim", "download", "remove", "serving", "gate"])
def test_nobody_connects_to_a_pod_that_serves_nothing(component: str) -> None:
    assert "ingress" not in policy(article(), component)


@pytest.mark.parametrize("component", ["mount", "remove"])
def test_a_pod_that_works_on_a_volume_alone_reaches_nobody(component: str) -> None:
    assert "egress" not in policy(article(), component)


@pytest.mark.parametrize("component", ["claim", "download", "serving", "gate"])
def test_who_asks_the_api_server_reaches_it_where_it_usually_is(component: str) -> None:
    for port in (443, 6443):
        assert reaches(policy(article(), component), "192.0.2.1", port)
        assert reaches(policy(article(), component), "2001:db8::1", port)


def test_no_pod_reaches_a_clouds_metadata() -> None:
    program = run(configured(network={"builds": [{"address": "0.0.0.0/0"}, {"address": "::/0"}]}))
    specs = [item.inputs["spec"] for item in program.kubernetes() if item.type.endswith(":NetworkPolicy")]
    assert len(specs) == 9
    for spec, address in itertools.product(specs, METADATA):
        assert not any(reaches(spec, address, port) for port in (53, 80, 443, 988, 6443, 8000, 8080)), address


@pytest.mark.parametrize(
    ("written", "metadata"),
    [
        ("169.254.0.0/16", ["169.254.169.254", "169.254.170.2", "169.254.170.23", "169.254.0.23", "169.254.42.42"]),
        ("169.254.128.0/17", ["169.254.169.254", "169.254.170.2"]),
        ("169.254.169.254/31", ["169.254.169.254"]),
        ("168.63.129.0/24", ["168.63.129.16"]),
        ("fe80::/64", ["fe80::a9fe:a9fe"]),
        ("fd00::/8", ["fd00:ec2::254", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42"]),
    ],
)
def test_a_range_for_a_dns_cache_on_the_nodes_has_no_metadata_address_in_it(written: str, metadata: list[str]) -> None:
    ray = policy(run(configured(network={"dns": [{"address": written, "port": 53}]})), "ray")
    assert not [address for address in metadata if reaches(ray, address, 53)]
    assert reaches(ray, str(ip_network(written)[1]), 53)


def test_a_metadata_address_by_itself_is_allowed_where_it_is_the_clusters_dns() -> None:
    ray = policy(run(configured(network={"dns": [{"address": "169.254.169.254/32", "port": 53}]})), "ray")
    assert reaches(ray, "169.254.169.254", 53, "UDP")
    assert not reaches(ray, "169.254.169.254", 80)


@pytest.mark.parametrize(
    ("repository", "port"),
    [
        (REPOSITORY, 443),
        ("http://git.example.com/opensourcerelease/DeepSeek-V3-bf16", 80),
        ("http://git.example.com:3000/opensourcerelease/DeepSeek-V3-bf16", 3000),
        ("ssh://git@git.example.com/opensourcerelease/DeepSeek-V3-bf16", 22),
        ("ssh://git@git.example.com:2222/opensourcerelease/DeepSeek-V3-bf16", 2222),
        ("git://git.example.com/opensourcerelease/DeepSeek-V3-bf16", 9418),
    ],
)
def test_the_download_reaches_the_port_of_its_repository_and_that_of_git_lfs(repository: str, port: int) -> None:
    download = policy(run(configured(model={"repository": repository})), "download")
    assert reaches(download, "192.0.2.1", port)
    assert reaches(download, "192.0.2.1", 443)
    assert not reaches(download, "192.0.2.1", 25)


@pytest.mark.parametrize(
    ("image", "ports"),
    [
        ({"push": "registry.example.com/team"}, {80, 443}),
        ({"push": "registry.example.com:5000/team"}, {80, 443, 5000}),
        ({"push": "[2001:db8::1]:5001/team"}, {80, 443, 5001}),
        ({"push": "registry.example.com/team", "mirror": "mirror:5002"}, {80, 443, 5002}),
        ({"push": "registry.example.com/team", "mirror": "mirror:5002/proxy"}, {80, 443, 5002}),
        ({"push": "registry.example.com/team", "base": "other:5003/ray:2.60.0-py312-cu130"}, {80, 443, 5003}),
    ],
)
def test_a_build_reaches_its_registries_and_packages(image: dict[str, Any], ports: set[int]) -> None:
    build = policy(run(configured(image=image)), "image")
    for port in (22, 80, 443, 5000, 5001, 5002, 5003):
        assert reaches(build, "192.0.2.1", port) == (port in ports), port


def test_keys_say_where_else_the_cluster_has_what_pods_need() -> None:
    network = {
        "dns": [{"address": "169.254.20.10/32", "port": 53}, {"namespace": "openshift-dns", "port": 5353}],
        "apiServer": [{"address": "192.0.2.1", "port": 8443}],
        "downloads": [{"labels": {"app": "gitea"}, "port": 3000}],
        "builds": [],
    }
    program = run(configured(network=network))
    ray, serving, download = (policy(program, component) for component in ("ray", "serving", "download"))
    assert reaches(ray, "169.254.20.10", 53, "UDP")
    assert not reaches(ray, "169.254.169.254", 53, "UDP")
    openshift = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "openshift-dns"}}}
    assert {"podSelector": {"matchLabels": {}}, **openshift} in ray["egress"][2]["to"]
    assert reaches(serving, "192.0.2.1", 8443)
    assert not reaches(serving, "192.0.2.1", 443)
    assert not reaches(serving, "192.0.2.2", 8443)
    gitea = {"podSelector": {"matchLabels": {"app": "gitea"}}}
    assert {"to": [gitea], "ports": [{"protocol": "TCP", "port": 3000}]} in download["egress"]
    assert not reaches(download, "192.0.2.2", 443)
    assert not reaches(policy(program, "image"), "192.0.2.2", 443)


def test_a_port_alone_is_open_to_everybody_for_plugins_that_know_nodes_by_no_address() -> None:
    serving = policy(run(configured(network={"apiServer": [{"port": 6443}]})), "serving")
    assert {"ports": [{"protocol": "TCP", "port": 6443}]} in serving["egress"]


@pytest.mark.parametrize("key", ["dns", "apiServer", "downloads", "builds"])
@pytest.mark.parametrize("port", [80, 443, 987, 988, 8080, 32526])
def test_a_port_alone_is_refused_where_a_cloud_answers_with_credentials(key: str, port: int) -> None:
    with pytest.raises(pulumi.RunError, match=rf"network\.{key}\.0: is port {port} of every address") as refused:
        run(configured(network={key: [{"port": port}]}))
    [advised] = re.findall(r"try (.*), which leave metadata", str(refused.value))
    program = run(configured(network={key: yaml.safe_load(f"[{advised}]")}))
    specs = [item.inputs["spec"] for item in program.kubernetes() if item.type.endswith(":NetworkPolicy")]
    assert any(reaches(spec, "192.0.2.1", port) and reaches(spec, "2001:db8::1", port) for spec in specs)
    assert not [address for spec in specs for address in METADATA if reaches(spec, address, port)]


def test_on_the_nodes_network_the_supervisor_finds_ray_by_address() -> None:
    network = {"hostNetwork": True, "hostNetworkIsTrusted": True}
    assert reaches(policy(run(configured(network=network)), "serving"), "192.0.2.1", 8265)
    assert not reaches(policy(article(), "serving"), "192.0.2.1", 8265)


def test_the_nodes_network_is_refused_unless_it_is_trusted() -> None:
    with pytest.raises(pulumi.RunError, match=r"network\.hostNetwork.*\n.*hostNetworkIsTrusted"):
        run(configured(network={"hostNetwork": True}))
    with pytest.raises(pulumi.RunError, match=r"network\.hostNetwork.*\n.*hostNetworkIsTrusted"):
        run(configured(network={"hostNetwork": True, "hostNetworkIsTrusted": False}))
    pods = json.dumps(run(configured(network={"hostNetworkIsTrusted": True})).one("RayCluster", "deepseek").inputs)
    assert "hostNetwork" not in pods
