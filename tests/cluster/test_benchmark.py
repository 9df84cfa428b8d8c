"""The benchmark on a real API server: its result outlives later updates, and nothing that serves is touched by it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pulumi import automation

from local.cluster.api_server import ApiServer
from tests.cluster.conftest import Configure
from tests.cluster.world.played_kubelet import CORE
from tests.cluster.world.stack_objects import changed, uids

RESULT = f"{CORE}/configmaps/benchmark-result"
MERGE = "application/merge-patch+json"
MEASURED = {"tokensPerSecond": 812.3, "failed": 0, "measuredAt": "2026-11-26T22:00:00Z"}
ON = {"enabled": True}


@pytest.fixture
def measured(configured: Configure, api: ApiServer) -> Iterator[automation.Stack]:
    """The article's stack with a benchmark whose Job has written its result."""
    selected = configured(benchmark=ON)
    outputs = selected.up().outputs
    [(name, uid)] = [item for item in uids(api, "jobs").items() if item[0].startswith("benchmark-")]
    assert outputs["benchmark"].value["problem"].startswith(f"Job {name} wrote no result")
    data = {"data": {"result": json.dumps({**MEASURED, "job": uid})}}
    api.request("PATCH", RESULT, json.dumps(data), MERGE)
    yield selected
    configured().destroy()
    for claim in uids(api, "persistentvolumeclaims"):
        api.delete(f"{CORE}/persistentvolumeclaims/{claim}")


def figures(selected: automation.Stack) -> dict[str, Any]:
    return {key: selected.outputs()["benchmark"].value.get(key) for key in MEASURED}


def test_what_was_measured_is_an_output_and_stays_one(
    measured: automation.Stack, configured: Configure, api: ApiServer
) -> None:
    before = {kind: uids(api, kind) for kind in ("rayclusters", "jobs", "pods")}
    measured.up()
    assert figures(measured) == MEASURED
    assert changed(measured.preview(expect_no_changes=True)) == {}
    measured.refresh()
    measured.up()
    assert figures(measured) == MEASURED
    assert {kind: uids(api, kind) for kind in before} == before
    configured(benchmark={**ON, "duration": "9s"}).up()
    assert "problem" in measured.outputs()["benchmark"].value, "another Job has measured, and written nothing"
    assert "result" in api.request("GET", RESULT)["data"]
    for kind in ("rayclusters", "pods"):
        kept = {name: uid for name, uid in before[kind].items() if not name.startswith("benchmark-")}
        assert kept.items() <= uids(api, kind).items()
