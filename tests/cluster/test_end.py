"""The end of a stack: in which order it goes, what stays, how that is told beforehand, and what the next `up` finds."""

import json
import os
import shlex
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from pulumi import automation

from local.building import builds
from local.cluster.api_server import ApiServer
from local.cluster.simulated import RunningCluster
from tests.cluster.conftest import Configure
from tests.cluster.world.everything import Key, everything
from tests.cluster.world.stack_objects import NAMESPACE, changed, objects, uids

CLAIM = "weights-local-rwx"
FINISHED = {"reference": "registry.example.com/served:1", "fetchReference": "registry.example.com/fetch:1"}
KEPT = f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims/{CLAIM}"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
HELD = "tests.example.com/held"
SLOW_SECONDS = 5.0
"""How long something takes to end, while everything that should wait for it is watched."""


@pytest.fixture(scope="module")
def before(api: ApiServer) -> dict[Key, str]:
    """Return what the cluster has before there is a stack or a claim that one has kept."""
    api.delete(KEPT)
    while api.get(KEPT):
        time.sleep(0.1)
    return everything(api)


class Destroy(threading.Thread):
    """A destroy that goes on while a test looks on."""

    def __init__(self, selected: automation.Stack) -> None:
        super().__init__(daemon=True)
        self._selected = selected

    def run(self) -> None:
        self._selected.destroy()

    def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            assert self.is_alive(), "destroy ended before"
            time.sleep(0.1)


def pod(api: ApiServer, label: str, value: str) -> str:
    [found] = [
        name
        for (kind, name), item in objects(api).items()
        if kind == "pods" and item["metadata"]["labels"].get(label) == value
    ]
    return found


def hold(api: ApiServer, name: str) -> None:
    """Let a pod be there until it is released, as one that takes its time to end."""
    finalizers = api.request("GET", f"{PODS}/{name}")["metadata"].get("finalizers", [])
    set_finalizers(api, name, [*finalizers, HELD])


def release(api: ApiServer, name: str) -> None:
    finalizers = api.request("GET", f"{PODS}/{name}")["metadata"]["finalizers"]
    set_finalizers(api, name, [finalizer for finalizer in finalizers if finalizer != HELD])


def set_finalizers(api: ApiServer, name: str, finalizers: list[str]) -> None:
    body = json.dumps({"metadata": {"finalizers": finalizers}})
    api.request("PATCH", f"{PODS}/{name}", body, "application/merge-patch+json")


def ending(api: ApiServer) -> dict[str, set[str]]:
    """Return the names of what is about to end or gone, and of what is untouched, without their hashes."""
    sorted_objects: dict[str, set[str]] = {"ending": set(), "untouched": set()}
    for (kind, name), item in objects(api).items():
        state = "ending" if "deletionTimestamp" in item["metadata"] else "untouched"
        sorted_objects[state].add(f"{kind}/{name.rsplit('-', 1)[0] if kind == 'jobs' else name}")
    return sorted_objects


def test_destroy_ends_serving_then_ray_then_the_rest(
    configured: Configure, api: ApiServer, before: dict[Key, str]
) -> None:
    assert before
    configured().up()
    supervisor = pod(api, "batch.kubernetes.io/job-name", next(name for name in uids(api, "jobs") if "serve-" in name))
    head = pod(api, "ray.io/node-type", "head")
    hold(api, supervisor)
    hold(api, head)
    destroy = Destroy(configured())
    destroy.start()
    destroy.until(lambda: "jobs/serve" in ending(api)["ending"])
    end = time.monotonic() + SLOW_SECONDS
    while time.monotonic() < end:
        untouched = ending(api)["untouched"]
        assert untouched >= {"rayclusters/deepseek", f"pods/{head}", "jobs/download", f"persistentvolumeclaims/{CLAIM}"}
        time.sleep(0.1)
    release(api, supervisor)
    destroy.until(lambda: "rayclusters/deepseek" in ending(api)["ending"])
    assert "serve" not in {name.split("-")[0] for name in uids(api, "jobs")}
    end = time.monotonic() + SLOW_SECONDS
    while time.monotonic() < end:
        assert ending(api)["untouched"] >= {"jobs/download", "jobs/build-ray-vllm", "secrets/api-key"}
        time.sleep(0.1)
    release(api, head)
    destroy.join()


def test_what_it_leaves_is_the_claim_and_its_volume_and_nothing_else(api: ApiServer, before: dict[Key, str]) -> None:
    left = {key for key, uid in everything(api).items() if before.get(key) != uid}
    assert {key for key in left if key[0] != "persistentvolumes"} == {("persistentvolumeclaims", NAMESPACE, CLAIM)}
    assert len(left) == 2
    assert without_volumes(before).keys() <= everything(api).keys()


def test_the_next_up_takes_the_claim_over_and_tells_how_to_give_it_up(configured: Configure, api: ApiServer) -> None:
    kept = uids(api, "persistentvolumeclaims")
    selected = configured(image=FINISHED)
    outputs = selected.up().outputs
    assert uids(api, "persistentvolumeclaims") == kept
    assert outputs["keptClaim"].value == CLAIM
    assert outputs["giveUpWeights"].value == f"kubectl -n {NAMESPACE} delete persistentvolumeclaim {CLAIM}"


def test_that_command_after_a_destroy_leaves_the_cluster_as_it_was(
    configured: Configure, cluster: RunningCluster, before: dict[Key, str]
) -> None:
    selected = configured(image=FINISHED)
    command = selected.outputs()["giveUpWeights"].value
    selected.destroy()
    environment = os.environ | {"KUBECONFIG": str(cluster.kubeconfig), "PATH": builds.search_path()}
    subprocess.run(shlex.split(command), env=environment, check=True, capture_output=True, timeout=120)
    assert without_volumes(everything(cluster.api_server)) == without_volumes(before)


def test_a_claim_that_is_not_kept_is_gone_when_destroy_returns(
    configured: Configure, api: ApiServer, before: dict[Key, str]
) -> None:
    configured(image=FINISHED).up()
    selected = configured(image=FINISHED, storage={"keep": False})
    told = selected.up()
    assert changed(told) == {}, "to give the weights up changes nothing that serves"
    assert not {"keptClaim", "giveUpWeights"} & told.outputs.keys()
    selected.destroy()
    assert without_volumes(everything(api)) == without_volumes(before)


def without_volumes(found: dict[Key, str]) -> dict[Key, Any]:
    """Leave out the volumes: what becomes of one without a claim is its class's affair."""
    return {key: uid for key, uid in found.items() if key[0] != "persistentvolumes"}
