"""What monitoring lacks in a cluster without the Prometheus Operator, against a stand-in for the API server."""

from typing import Any

import pytest
from kubernetes import client

from components.preflight.monitoring_prerequisites import of_monitoring
from planning.settings.sections import Monitoring
from tests.unit.components.stub_api import stub_api

GROUP = "/apis/monitoring.coreos.com/v1"
ENABLED = {"prometheusNamespace": "monitoring"}


def kinds(*names: str) -> dict[str, Any]:
    """Return what an API server tells of a group with these resources."""
    common = {"kind": "", "namespaced": True, "singularName": "", "verbs": ["get"]}
    return {"groupVersion": "monitoring.coreos.com/v1", "resources": [{"name": name, **common} for name in names]}


def lacking(api: client.ApiClient, keys: dict[str, str]) -> list[str]:
    return [str(problem) for problem in of_monitoring(api, Monitoring.model_validate(keys))]


def test_an_operator_that_is_installed_is_enough() -> None:
    with stub_api({GROUP: kinds("podmonitors", "prometheusrules", "servicemonitors")}) as (api, _):
        assert lacking(api, ENABLED) == []


@pytest.mark.parametrize("answers", [{}, {GROUP: kinds("servicemonitors")}, {GROUP: kinds("prometheusrules")}])
def test_a_missing_kind_is_told_with_what_brings_it_and_with_the_way_without(answers: dict[str, object]) -> None:
    with stub_api(answers) as (api, _):
        [problem] = lacking(api, ENABLED)
    assert problem.startswith("monitoring.scrape: podMonitors, and the Prometheus Operator is not installed")
    assert "knows no PodMonitor" in problem
    assert "monitoring.scrape: annotations" in problem
    assert "helm install kube-prometheus-stack" in problem


@pytest.mark.parametrize("keys", [{}, {"prometheusNamespace": "m", "scrape": "annotations"}])
def test_a_stack_without_pod_monitors_does_not_ask(keys: dict[str, str]) -> None:
    with stub_api({}) as (api, server):
        assert lacking(api, keys) == []
    assert server.asked == []
