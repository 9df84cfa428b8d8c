"""A Job that failed is made again, deleted first: what serves meanwhile goes on until the new Job's work is done."""

import time
from typing import Any

import pytest

from local.cluster.api_server import ApiServer
from tests.cluster.conftest import Configure, Nodes
from tests.cluster.test_revisions import jobs, serving
from tests.cluster.world.played_kubelet import Up, end_pod, pending_pods

FINISHED = {"reference": "registry.example.com/served:1", "fetchReference": "registry.example.com/fetch:1"}
OTHER = FINISHED | {"fetchReference": "registry.example.com/fetch:2"}
REASON = "the volume cannot be written"
LOOKED_ON_SECONDS = 5.0


@pytest.mark.faults
def test_a_failed_job_is_made_again_before_anything_that_serves_is_touched(
    configured: Configure, api: ApiServer, nodes: Nodes
) -> None:
    configured(image=FINISHED).up()
    before = serving(api)
    nodes.close()

    def fail() -> None:
        assert serving(api) == before
        for pod in pending_pods(api, "mount-"):
            end_pod(api, pod, REASON)
        for pod in pending_pods(api, "claim-"):
            end_pod(api, pod)

    assert REASON in Up(configured(image=OTHER)).play(fail)
    [failed] = [job["metadata"]["uid"] for job in jobs(api).values() if has_failed(job)]

    again = Up(configured(image=OTHER))
    seen: list[float] = []

    def look_on() -> None:
        if pending_pods(api, "mount-"):
            assert serving(api) == before
            seen.append(time.monotonic())
            if seen[-1] - seen[0] > LOOKED_ON_SECONDS:
                nodes.open()

    assert again.play(look_on) == ""
    assert seen, "the Job was made again"
    assert failed not in {job["metadata"]["uid"] for job in jobs(api).values()}
    assert serving(api) != before
    configured(image=OTHER).destroy()


def has_failed(job: dict[str, Any]) -> bool:
    return any(item["type"] == "Failed" for item in job["status"].get("conditions", ()))
