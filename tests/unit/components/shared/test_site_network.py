"""A site's proxy and certificate authorities: which pods get them, how, and what is refused."""

import base64
from typing import Any, cast

import certifi
import pytest
from kubernetes import client

from components.preflight.network_prerequisites import of_network
from planning.egress import build_peers, download_peers
from planning.parse import parse
from tests.unit.components.registrations import Program, run, stack_file
from tests.unit.planning.stacks import plan, raw

SITE: dict[str, Any] = {
    "caSecret": "authorities",
    "proxy": "http://proxy.example.com:3128",
    "proxySecret": "proxy",
    "noProxy": [".example.com", "10.0.0.0/8"],
}
OUTWARD = {"download", "build-fetch", "build-ray-vllm"}


def site(**network: Any) -> Program:
    return run(stack_file("a100-bf16") | {"deepseek:network": network})


def pods(stack: Program) -> dict[str, dict[str, Any]]:
    return {
        item.name: item.inputs["spec"]["template"]["spec"] for item in stack.kubernetes() if item.type.endswith(":Job")
    }


def test_the_pods_that_leave_the_cluster_and_no_others_know_the_sites_network() -> None:
    for name, pod in pods(site(**SITE)).items():
        [container] = pod["containers"]
        environment = {item["name"]: item for item in container["env"]}
        if name not in OUTWARD:
            assert not {"PROXY", "AUTHORITIES", "NO_PROXY"} & environment.keys(), name
            continue
        assert environment["PROXY"]["value"] == SITE["proxy"]
        assert environment["NO_PROXY"]["value"] == ".example.com,10.0.0.0/8"
        for variable, key in (("PROXY_USERNAME", "username"), ("PROXY_PASSWORD", "password")):
            assert environment[variable]["valueFrom"]["secretKeyRef"] == {"name": "proxy", "key": key}
        [mount] = [item for item in container["volumeMounts"] if item["name"] == "authorities"]
        assert environment["AUTHORITIES"]["value"] == f"{mount['mountPath']}/ca.crt"
        assert mount["readOnly"]
        [volume] = [item for item in pod["volumes"] if item["name"] == "authorities"]
        assert volume["secret"]["secretName"] == "authorities"


def test_a_stack_without_them_is_as_before() -> None:
    assert pods(site()) == pods(run(stack_file("a100-bf16")))


def test_ray_and_serving_are_not_touched_by_them() -> None:
    plain, changed = site(), site(**SITE)
    assert changed.one("RayCluster", "deepseek").inputs == plain.one("RayCluster", "deepseek").inputs
    assert pods(changed)["serve"] == pods(plain)["serve"]


@pytest.mark.parametrize(
    ("proxy", "peer"),
    [
        ("http://proxy.example.com:3128", {"address": "0.0.0.0/0", "port": 3128}),
        ("http://10.1.2.3:3128", {"address": "10.1.2.3/32", "port": 3128}),
        ("http://[2001:db8::7]:3128", {"address": "2001:db8::7/128", "port": 3128}),
    ],
)
def test_a_policy_lets_downloads_and_builds_reach_the_proxy(proxy: str, peer: dict[str, Any]) -> None:
    settings = parse(raw(network={"proxy": proxy}))
    assert peer in download_peers(settings.network, settings.model)
    assert peer in build_peers(settings.network, settings.image)


WORD = "word"
REFUSED = {
    "credentials": ({"proxy": f"http://user:{WORD}@proxy:3128"}, "network.proxy", "has credentials in plain text"),
    "no port": ({"proxy": "http://proxy.example.com"}, "network.proxy", "is no address of a proxy"),
    "no scheme": ({"proxy": "proxy.example.com:3128"}, "network.proxy", "is no address of a proxy"),
    "a path": ({"proxy": "http://proxy:3128/x"}, "network.proxy", "is no address of a proxy"),
    "a shell's words": ({"proxy": "http://proxy:3128'; true"}, "network.proxy", "is no address of a proxy"),
    "a secret for nothing": ({"proxySecret": "proxy"}, "network.proxySecret", "there is none"),
    "an exception for nothing": ({"noProxy": ["x"]}, "network.noProxy", "there is none"),
    "two hosts in one": ({"proxy": SITE["proxy"], "noProxy": ["a,b"]}, "network.noProxy.0", "is no host"),
    "a quote": ({"proxy": SITE["proxy"], "noProxy": ["'"]}, "network.noProxy.0", "is no host"),
}


@pytest.mark.parametrize(("network", "key", "told"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_proxy_is_refused_by_its_key(network: dict[str, Any], key: str, told: str) -> None:
    [problem] = plan(network=network).problems
    assert problem.key == key
    assert told in problem.text
    assert "word@" not in f"{problem}"


class Secrets:
    """The API server's Secrets by name and namespace, each with its keys"""

    def __init__(self, keys: dict[tuple[str, str], set[str]]) -> None:
        self._keys = keys

    def read_namespaced_secret(self, name: str, namespace: str, **_: Any) -> client.V1Secret:
        if (name, namespace) not in self._keys:
            raise client.ApiException(status=404)
        content = {"ca.crt": certifi.contents(), "username": "me", "password": "word"}
        told = self._keys[name, namespace]
        return client.V1Secret(data={key: base64.b64encode(content[key].encode()).decode() for key in told})


def test_secrets_are_looked_for_with_their_keys_where_they_are_used() -> None:
    settings = parse(raw(network=SITE, image={"buildNamespace": "builds"}))

    def told(secrets: dict[tuple[str, str], set[str]]) -> list[str]:
        return [
            problem.text for problem in of_network(cast("client.CoreV1Api", Secrets(secrets)), "deepseek", settings)
        ]

    whole = {("authorities", place): {"ca.crt"} for place in ("deepseek", "builds")}
    whole |= {("proxy", place): {"username", "password"} for place in ("deepseek", "builds")}
    assert told(whole) == []
    assert told({}) == [
        "there is no Secret 'authorities' in namespace 'deepseek'",
        "there is no Secret 'authorities' in namespace 'builds'",
        "there is no Secret 'proxy' in namespace 'deepseek'",
        "there is no Secret 'proxy' in namespace 'builds'",
    ]
    assert told(whole | {("proxy", "builds"): {"username"}}) == [
        "Secret 'proxy' in namespace 'builds' has no key password"
    ]
