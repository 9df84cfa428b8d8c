"""Builds in a namespace of their own, and what they resolved: read once from their pod, and kept.

The stack has the download image alone. The test plays the pod of its build.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi import automation

from local import stack
from local.cluster.api_server import ApiServer
from local.cluster.simulated import RunningCluster
from local.cluster.simulated_nodes import PLAYED
from tests.cluster.world import causes
from tests.cluster.world.fetch_image_build import fetch_image_build
from tests.cluster.world.played_kubelet import Up
from tests.cluster.world.stack_objects import NAMESPACE, a_namespace, changed, objects, uids

BUILDS = "deepseek-builds"
TOLD = {
    "base": "docker.io/library/python:3.11-bookworm@sha256:" + 64 * "b",
    "buildkit": "docker.io/moby/buildkit:v0.34.2@sha256:" + 64 * "c",
    "image": "registry.example.com/deepseek/fetch:abc@sha256:" + 64 * "a",
}
IMAGE = {"push": "registry.example.com/deepseek", "buildkit": f"{PLAYED}buildkit:1", "buildNamespace": BUILDS}


def build_the_download_image() -> None:
    build = fetch_image_build()
    pulumi.export("reference", build.reference)
    pulumi.export("resolved", build.resolved)


class Stack:
    """The stack of one image, and the kubelet that its build pods need."""

    def __init__(self, cluster: RunningCluster, folder: Path) -> None:
        self._api, self._kubeconfig, self._folder = cluster.api_server, cluster.kubeconfig, folder

    def selected(self, **image: Any) -> automation.Stack:
        overrides = {"deepseek:image": IMAGE | image}
        return stack.select("a100-bf16", self._kubeconfig, overrides, self._folder, build_the_download_image)

    def up(self, told: dict[str, str], **image: Any) -> dict[str, Any]:
        """Bring it up; a build pod that runs meanwhile tells this. Return the outputs."""
        message = "".join(f"{name} {reference}\n" for name, reference in told.items())
        selected = self.selected(**image)
        assert Up(selected).play(lambda: self._end_pods(message)) == ""
        return {name: output.value for name, output in selected.outputs().items()}

    def _end_pods(self, message: str) -> None:
        for (kind, name), pod in objects(self._api, BUILDS).items():
            if kind == "pods" and pod["status"]["phase"] == "Running":
                ended = {"exitCode": 0, "reason": "Completed", "message": message}
                known = {"name": "build", "image": "", "imageID": "", "ready": False, "restartCount": 0}
                status = {**known, "state": {"terminated": ended}}
                path = f"/api/v1/namespaces/{BUILDS}/pods/{name}"
                self._api.update_status(path, {"phase": "Succeeded", "containerStatuses": [status]})


@pytest.fixture(scope="module")
def one_image(cluster: RunningCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    api = cluster.api_server
    with a_namespace(api, BUILDS), causes.pod_security_is_baseline(api):
        yield Stack(cluster, tmp_path_factory.mktemp("builds"))


def left_by_builds(api: ApiServer) -> dict[tuple[str, str], Any]:
    """The objects of the stack's own namespace, but for the claims that stacks of other tests keep."""
    return {key: item for key, item in objects(api, NAMESPACE).items() if key[0] != "persistentvolumeclaims"}


def test_it_builds_beside_a_namespace_that_takes_no_privileged_pod(one_image: Stack, api: ApiServer) -> None:
    outputs = one_image.up(TOLD)
    assert outputs["resolved"] == TOLD
    assert {kind for kind, _ in objects(api, BUILDS)} == {"configmaps", "jobs", "pods"}
    assert [kind for kind, _ in left_by_builds(api)] == ["configmaps"]


def test_what_was_resolved_outlives_the_pod_that_told_it(one_image: Stack, api: ApiServer) -> None:
    for pod in uids(api, "pods", BUILDS):
        api.delete(f"/api/v1/namespaces/{BUILDS}/pods/{pod}")
    selected = one_image.selected()
    assert changed(selected.preview(expect_no_changes=True)) == {}
    selected.refresh()
    assert changed(selected.preview(expect_no_changes=True)) == {}
    assert one_image.up({})["resolved"] == TOLD


def test_a_job_that_finds_the_image_changes_nothing_of_it(one_image: Stack) -> None:
    image = TOLD["image"]
    assert one_image.up({"image": image}, buildMemory="16Gi")["resolved"] == TOLD


def test_another_image_is_another_record(one_image: Stack, api: ApiServer) -> None:
    another = {**TOLD, "base": TOLD["base"].replace("b" * 64, "d" * 64)}
    preview = one_image.selected(rebuild="2026-12").preview()
    assert changed(preview).keys() == {"replace"}
    assert one_image.up(another, rebuild="2026-12")["resolved"] == another
    [record] = left_by_builds(api).values()
    assert record["data"] == another


def test_destroy_leaves_nothing_in_either_namespace(one_image: Stack, api: ApiServer) -> None:
    one_image.selected().destroy()
    assert objects(api, BUILDS) == left_by_builds(api) == {}
