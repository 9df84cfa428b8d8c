"""What a Job measured, as the stack output has it."""

import json
from typing import Any

import pytest
from kubernetes import client

from components.shared.result import Place, result_in
from tests.unit.components.stub_api import Answers, stub_api

CONFIG_MAP = "/api/v1/namespaces/n/configmaps/benchmark-result"
NOW = {"tokensPerSecond": 812.3, "failed": 0, "measuredAt": "2026-11-26T22:00:00Z"}
BEFORE = {"tokensPerSecond": 790.0, "failed": 3, "measuredAt": "2026-11-25T22:00:00Z"}

PLACE = Place(
    config_map="benchmark-result",
    namespace="n",
    kubeconfig=None,
    context=None,
    of_before=("tokensPerSecond", "measuredAt"),
)


def read(answers: Answers) -> dict[str, Any]:
    with stub_api(answers) as (api, _):
        assert isinstance(api, client.ApiClient)
        return result_in(api, PLACE, "benchmark-1", "u")


def test_what_was_measured_stands_beside_what_was_measured_before() -> None:
    data = {"result": json.dumps(NOW | {"job": "u"}), "previous": json.dumps(BEFORE | {"job": "t"})}
    before = {"tokensPerSecond": 790.0, "measuredAt": "2026-11-25T22:00:00Z"}
    assert read({CONFIG_MAP: {"data": data}}) == NOW | {"previous": before}
    assert read({CONFIG_MAP: {"data": {"result": data["result"]}}}) == NOW


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({}, "Job benchmark-1 wrote no result"),
        ({"data": {"result": json.dumps(BEFORE | {"job": "t"})}}, "Job benchmark-1 wrote no result"),
        ({"data": {"result": "{"}}, "holds something else than a result"),
        (403, "could not be read: 403"),
        (404, "could not be read: 404"),
    ],
    ids=str,
)
def test_a_result_that_is_not_there_says_why(answer: Any, said: str) -> None:
    found = read({CONFIG_MAP: answer})
    assert list(found) == ["problem"]
    assert said in found["problem"]
