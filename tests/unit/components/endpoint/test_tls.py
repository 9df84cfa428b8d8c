"""TLS at the door: what the stack has for it, and what is refused."""

import json
from functools import cache

import pulumi
import pytest

from tests.unit.components.endpoint.test_endpoint import configured, pod_template
from tests.unit.components.registrations import Program, run
from tests.unit.components.test_network_policies import policy

HOST = "llm.example.com"


@cache
def with_tls() -> Program:
    return run(configured(host=HOST, tlsSecret="door-tls"))


def test_clients_come_by_tls_and_only_jobs_of_the_stack_without() -> None:
    program = with_tls()
    ports = program.one("Service", "deepseek").inputs["spec"]["ports"]
    assert {(port["name"], port["port"], port["targetPort"]) for port in ports} == {
        ("http", 8000, 8000),
        ("https", 443, 8443),
    }
    everybody, jobs = policy(program, "endpoint")["ingress"]
    assert everybody == {"ports": [{"protocol": "TCP", "port": 8443}]}
    assert jobs["from"] == [{"podSelector": policy(program, "gate")["podSelector"]}]
    assert jobs["ports"] == [{"protocol": "TCP", "port": 8000}]


def test_a_proxy_has_the_certificate_and_its_key_where_haproxy_looks_for_them() -> None:
    pod = pod_template(with_tls())["spec"]
    [volume] = [item for item in pod["volumes"] if item["name"] == "tls"]
    assert volume["secret"]["secretName"] == "door-tls"
    assert {item["key"]: item["path"] for item in volume["secret"]["items"]} == {
        "tls.crt": "server.pem",
        "tls.key": "server.pem.key",
    }
    [container] = pod["containers"]
    assert {"name": "https", "containerPort": 8443} in container["ports"]
    assert "haproxy -W" in container["command"][-1]


def test_the_outputs_say_how_to_ask_by_tls() -> None:
    outputs = with_tls().outputs
    assert outputs["portForward"].endswith("port-forward service/deepseek 8443:443")
    assert f'curl --resolve {HOST}:8443:127.0.0.1 "https://{HOST}:8443/v1/chat/completions"' in outputs["ask"]


def test_without_tls_nothing_knows_of_it() -> None:
    program = run(configured())
    assert [port["name"] for port in program.one("Service", "deepseek").inputs["spec"]["ports"]] == ["http"]
    assert policy(program, "endpoint")["ingress"] == [{"ports": [{"protocol": "TCP", "port": 8000}]}]
    assert "tls" not in json.dumps(pod_template(program), default=str)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"tlsSecret": "door-tls"}, "endpoint.tlsSecret: needs the name"),
        ({"host": HOST}, "endpoint.host: needs the certificate"),
        ({"host": "LLM.example.com", "tlsSecret": "door-tls"}, "endpoint.host: is not written as it should be"),
        ({"host": "llm", "tlsSecret": "door-tls"}, "endpoint.host: is not written as it should be"),
        ({"host": HOST, "tlsSecret": "door-tls", "proxy": False}, "endpoint.tlsSecret: needs the proxies"),
    ],
)
def test_half_of_tls_is_refused(keys: dict[str, object], said: str) -> None:
    with pytest.raises(pulumi.RunError, match=said):
        run(configured(**keys))
