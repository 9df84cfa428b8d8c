"""A RayCluster that the cluster's KubeRay would cut down or refuse is told before anything is made."""

from typing import Any

import pytest

from components.preflight.ray_cluster_refusals import ray_cluster_refusals
from planning.parse import parse
from tests.unit.components.stub_api import StatusError, stub_api
from tests.unit.planning.stacks import raw

CLUSTERS = "/apis/ray.io/v1/namespaces/deepseek/rayclusters"
STRICT = 'RayCluster in version "v1" cannot be handled as a RayCluster: strict decoding error: '


def told(answer: Any) -> list[str]:
    with stub_api({CLUSTERS: answer}) as (api, _):
        return [str(problem) for problem in ray_cluster_refusals(api, "deepseek", parse(raw()))]


def test_a_kuberay_without_authentication_is_refused_with_the_way_to_a_newer_one() -> None:
    [problem] = told(StatusError(400, f'{STRICT}unknown field "spec.authOptions"'))
    assert "the installed KubeRay is too old: its RayCluster has no spec.authOptions" in problem
    assert "kubectl apply --server-side" in problem
    assert "v1.6.1" in problem


def test_every_field_that_would_be_dropped_is_named_once() -> None:
    fields = 'unknown field "spec.authOptions", unknown field "spec.other", unknown field "spec.authOptions"'
    [problem] = told(StatusError(400, f"{STRICT}{fields}"))
    assert "has no spec.authOptions, spec.other" in problem


def test_a_policy_against_ray_clusters_is_told_in_its_words() -> None:
    [problem] = told(StatusError(403, 'admission webhook "p.example.com" denied the request: no ticket'))
    assert "would refuse the RayCluster" in problem
    assert "no ticket" in problem


@pytest.mark.parametrize(
    "answer",
    [
        {"kind": "RayCluster"},
        404,
        StatusError(403, 'rayclusters.ray.io is forbidden: User "jane" cannot create resource "rayclusters"'),
    ],
    ids=["taken", "no KubeRay, which is told elsewhere", "not allowed to ask"],
)
def test_nothing_is_said_where_nothing_is_known(answer: Any) -> None:
    assert told(answer) == []


def test_the_dry_run_asks_for_the_whole_ray_cluster_strictly_and_makes_none() -> None:
    with stub_api({CLUSTERS: {}}) as (api, server):
        assert list(ray_cluster_refusals(api, "deepseek", parse(raw()))) == []
    [(_, query)] = server.asked
    assert query == {"dryRun": ["All"], "fieldValidation": ["Strict"]}
    [sent] = server.sent
    assert sent["spec"]["authOptions"] == {"mode": "token"}
    assert sent["spec"]["workerGroupSpecs"][0]["replicas"] == 3
