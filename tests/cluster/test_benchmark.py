"""The benchmark on a real API server: its result outlives later updates, and nothing that serves is touched by it."""

from collections.abc import Iterator
from typing import Any

import pytest
from pulumi import automation

from local import measure
from local.cluster.api_server import ApiServer
from tests.cluster.conftest import Configure
from tests.cluster.world.played_benchmark import MEASURED, RESULT, benchmark_job, write_result
from tests.cluster.world.played_kubelet import CORE
from tests.cluster.world.stack_objects import changed, uids

ON = {"enabled": True}


@pytest.fixture
def measured(configured: Configure, api: ApiServer) -> Iterator[automation.Stack]:
    """The article's stack with a benchmark whose Job has written its result."""
    selected = configured(benchmark=ON)
    outputs = selected.up().outputs
    name, _ = benchmark_job(api)
    assert outputs["benchmark"].value["problem"].startswith(f"Job {name} wrote no result")
    write_result(api)
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


@pytest.mark.usefixtures("measured")
def test_measured_by_hand_only_the_benchmark_is_another_and_what_is_not_deployed_stays_so(
    configured: Configure, api: ApiServer
) -> None:
    configured(benchmark=ON).up()
    before = {kind: uids(api, kind) for kind in ("rayclusters", "jobs", "pods")}
    name, uid = benchmark_job(api)
    with pytest.raises(measure.CannotMeasure, match="differs from its stack file"):
        measure.measured(configured(benchmark=ON, serving={"gpuMemoryUtilization": 0.7}))
    assert {kind: uids(api, kind) for kind in before} == before
    assert measure.measured(configured(benchmark=ON))["problem"].startswith(f"Job {name} wrote no result")
    again, other = benchmark_job(api)
    assert again == name
    assert other != uid
    assert {**before["jobs"], name: other} == uids(api, "jobs")
    assert before["rayclusters"] == uids(api, "rayclusters")


def test_a_stack_without_a_benchmark_is_not_measured(configured: Configure) -> None:
    with pytest.raises(measure.CannotMeasure, match=r"benchmark\.enabled to true in Pulumi\.a100-bf16\.yaml"):
        measure.measured(configured())
