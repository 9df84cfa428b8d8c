"""The way in from outside the cluster: a load balancer or an Ingress, and what is refused."""

from typing import Any

import pulumi
import pytest

from components.preflight.ingress_class import of_ingress
from tests.unit.components.endpoint.test_endpoint import configured, pod_template
from tests.unit.components.registrations import run
from tests.unit.components.stub_api import stub_api
from tests.unit.components.test_network_policies import policy

TLS = {"host": "llm.example.com", "tlsSecret": "door-tls"}
CLASSES = "/apis/networking.k8s.io/v1/ingressclasses"


def test_a_load_balancer_has_its_annotations_and_leads_to_tls() -> None:
    program = run(configured(**TLS, serviceType="LoadBalancer", annotations={"example.com/internal": "true"}))
    service = program.one("Service", "deepseek").inputs
    assert service["spec"]["type"] == "LoadBalancer"
    assert service["metadata"]["annotations"]["example.com/internal"] == "true"
    assert {port["name"] for port in service["spec"]["ports"]} == {"http", "https"}
    assert not [item for item in program.kubernetes() if item.type.endswith(":Ingress")]


def test_an_ingress_takes_tls_and_leads_to_the_proxies_without() -> None:
    program = run(configured(**TLS, ingressClass="nginx", annotations={"example.com/team": "search"}))
    ingress = program.one("Ingress", "deepseek").inputs
    assert ingress["spec"]["ingressClassName"] == "nginx"
    assert ingress["spec"]["tls"] == [{"hosts": ["llm.example.com"], "secretName": "door-tls"}]
    [rule] = ingress["spec"]["rules"]
    [path] = rule["http"]["paths"]
    service = program.one("Service", "deepseek").inputs
    assert (rule["host"], path["path"], path["pathType"]) == ("llm.example.com", "/", "Prefix")
    assert path["backend"]["service"] == {"name": service["metadata"]["name"], "port": {"number": 8000}}
    annotations = ingress["metadata"]["annotations"]
    assert annotations["example.com/team"] == "search"
    assert annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"] == "3600"
    assert "example.com/team" not in service["metadata"]["annotations"]
    assert [port["name"] for port in service["spec"]["ports"]] == ["http"]
    assert policy(program, "endpoint")["ingress"] == [{"ports": [{"protocol": "TCP", "port": 8000}]}]
    assert "tls" not in str(pod_template(program)["spec"]["volumes"])


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"serviceType": "LoadBalancer"}, "endpoint.serviceType: leads out of the cluster"),
        ({"ingressClass": "nginx"}, "endpoint.ingressClass: leads out of the cluster"),
        ({**TLS, "ingressClass": "nginx", "serviceType": "LoadBalancer"}, "endpoint.serviceType: is a second way in"),
        ({"annotations": {"a": "b"}}, "endpoint.annotations: has no object"),
        ({"serviceType": "NodePort"}, "endpoint.serviceType: must be"),
    ],
)
def test_a_way_in_without_its_parts_is_refused(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(pulumi.RunError, match=said):
        run(configured(**keys))


def told(answers: dict[str, Any]) -> list[str]:
    with stub_api(answers) as (api, _):
        return [str(problem) for problem in of_ingress(api, "nginx")]


def test_a_missing_class_is_told_with_those_that_there_are() -> None:
    named = [{"metadata": {"name": name}} for name in ("traefik", "haproxy")]
    [problem] = told({CLASSES: named})
    assert problem.startswith("endpoint.ingressClass: the cluster has no IngressClass 'nginx'")
    assert "one of: haproxy, traefik" in problem
    [problem] = told({CLASSES: []})
    assert "an Ingress controller" in problem


def test_a_class_that_is_there_or_may_not_be_read_is_taken() -> None:
    assert not told({f"{CLASSES}/nginx": {"metadata": {"name": "nginx"}}})
    assert not told({f"{CLASSES}/nginx": 403})
