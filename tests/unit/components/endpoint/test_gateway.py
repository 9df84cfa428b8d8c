"""The way in by a Gateway of the cluster: its HTTPRoute, and what is refused."""

from typing import Any

import pulumi
import pytest

from components.preflight.gateway import of_gateway
from planning.settings.sections import Endpoint
from tests.unit.components.endpoint.test_endpoint import configured, pod_template
from tests.unit.components.registrations import run
from tests.unit.components.stub_api import stub_api
from tests.unit.components.test_network_policies import policy

HOST = "llm.example.com"
GATEWAY = {"name": "shared", "namespace": "gateways", "listener": "https"}
KEYS = {"host": HOST, "gateway": GATEWAY}
GROUP = "/apis/gateway.networking.k8s.io/v1"
PATH = f"{GROUP}/namespaces/gateways/gateways/shared"
LISTENER = {"name": "https", "protocol": "HTTPS", "allowedRoutes": {"namespaces": {"from": "All"}}}


def test_a_route_without_a_time_out_leads_from_the_listener_to_the_proxies() -> None:
    program = run(configured(**KEYS, annotations={"example.com/team": "search"}))
    route = program.one("HTTPRoute", "deepseek").inputs
    assert route["metadata"]["annotations"]["example.com/team"] == "search"
    assert route["spec"]["hostnames"] == [HOST]
    assert route["spec"]["parentRefs"] == [{"name": "shared", "namespace": "gateways", "sectionName": "https"}]
    [rule] = route["spec"]["rules"]
    service = program.one("Service", "deepseek").inputs
    assert rule["backendRefs"] == [{"name": service["metadata"]["name"], "port": 8000}]
    assert rule["timeouts"] == {"request": "0s"}
    assert [port["name"] for port in service["spec"]["ports"]] == ["http"]
    assert "example.com/team" not in service["metadata"]["annotations"]
    assert policy(program, "endpoint")["ingress"] == [{"ports": [{"protocol": "TCP", "port": 8000}]}]
    assert "tls" not in str(pod_template(program)["spec"]["volumes"])


def test_a_gateway_without_a_namespace_is_in_that_of_the_stack() -> None:
    program = run(configured(host=HOST, gateway={"name": "shared", "listener": "https"}))
    [parent] = program.one("HTTPRoute", "deepseek").inputs["spec"]["parentRefs"]
    assert parent == {"name": "shared", "sectionName": "https"}


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"gateway": GATEWAY}, "endpoint.gateway: needs the name"),
        ({**KEYS, "proxy": False}, "endpoint.gateway: needs the proxies"),
        ({**KEYS, "tlsSecret": "door-tls"}, "endpoint.tlsSecret: cannot stand beside endpoint.gateway"),
        ({**KEYS, "serviceType": "LoadBalancer"}, "endpoint.serviceType: cannot stand beside endpoint.gateway"),
        ({**KEYS, "ingressClass": "nginx"}, "endpoint.ingressClass: cannot stand beside endpoint.gateway"),
        ({"host": HOST, "gateway": {"name": "shared"}}, "endpoint.gateway.listener"),
        ({"host": HOST, "gateway": {**GATEWAY, "listner": "a"}}, "endpoint.gateway.listner: is not a key"),
    ],
)
def test_a_gateway_without_its_parts_or_beside_another_way_in_is_refused(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(pulumi.RunError, match=said):
        run(configured(**keys))


def told(answers: dict[str, Any]) -> list[str]:
    with stub_api(answers) as (api, _):
        return [str(problem) for problem in of_gateway(api, "deepseek", Endpoint.model_validate(KEYS))]


def told_of(*listeners: dict[str, Any]) -> list[str]:
    return told({GROUP: kinds(), PATH: {"spec": {"listeners": list(listeners)}}})


def kinds() -> dict[str, Any]:
    return {"groupVersion": "gateway.networking.k8s.io/v1", "resources": []}


def test_a_cluster_without_the_gateway_api_is_told_what_brings_it() -> None:
    [problem] = told({})
    assert problem.startswith("endpoint.gateway: the API server knows no HTTPRoute")
    assert "standard channel" in problem


def test_a_gateway_that_is_not_there_is_told() -> None:
    [problem] = told({GROUP: kinds()})
    assert problem.startswith("endpoint.gateway.name: there is no Gateway 'shared' in namespace 'gateways'")


@pytest.mark.parametrize("hostname", ["", HOST, "*.example.com", "*.com"])
def test_a_listener_with_tls_for_the_host_is_taken(hostname: str) -> None:
    assert told_of({**LISTENER, "hostname": hostname}) == []


def test_a_gateway_that_may_not_be_read_is_taken() -> None:
    assert told({GROUP: kinds(), PATH: 403}) == []


@pytest.mark.parametrize(
    ("listeners", "said"),
    [
        ([{**LISTENER, "name": "other"}], "endpoint.gateway.listener: the Gateway has no listener 'https'"),
        ([{**LISTENER, "protocol": "HTTP"}], "endpoint.gateway.listener: 'https' takes HTTP"),
        ([{**LISTENER, "hostname": "*.example.org"}], "endpoint.host: 'llm.example.com' is no name"),
        ([{**LISTENER, "hostname": "example.com"}], "endpoint.host: 'llm.example.com' is no name"),
        ([{"name": "https", "protocol": "HTTPS"}], "endpoint.gateway.listener: 'https' takes routes from its own"),
    ],
)
def test_a_listener_that_does_not_fit_is_told(listeners: list[dict[str, Any]], said: str) -> None:
    [problem] = told_of(*listeners)
    assert problem.startswith(said)


def test_a_stack_without_a_gateway_asks_for_none() -> None:
    with stub_api({}) as (api, server):
        assert list(of_gateway(api, "deepseek", Endpoint())) == []
    assert server.asked == []
