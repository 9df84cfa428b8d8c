"""A namespace belongs to one stack: two run side by side, none takes the other's, and one moves after its weights."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pulumi import automation

from local import stack
from local.cluster.api_server import ApiServer
from local.cluster.simulated import RunningCluster
from local.cluster.simulated_nodes import gpu_node
from tests.cluster.changed.change_table import CLUSTER, DOWNLOAD
from tests.cluster.changed.changed_stack import STACK, run
from tests.cluster.world.stack_objects import NAMESPACE, changed, objects, uids

OTHER = "deepseek-2"
SHIPPED = ("a100-bf16", "h200-fp8")
FINISHED = {"reference": "registry.example.com/served:1", "fetchReference": "registry.example.com/fetch:1"}


@pytest.mark.faults
def test_another_namespace_gets_the_weights_before_ray_moves(
    cluster: RunningCluster, api: ApiServer, tmp_path: Path
) -> None:
    there = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OTHER}}
    api.apply(f"/api/v1/namespaces/{OTHER}", there)
    config = {"deepseek:image": FINISHED}
    stack.select(STACK, cluster.kubeconfig, config, tmp_path).up()
    claims = uids(api, "persistentvolumeclaims")
    moved = stack.select(STACK, cluster.kubeconfig, config | {"kubernetes:namespace": OTHER}, tmp_path)
    done = [(step.op, step.resource) for step in run(moved.up).steps]
    places = [
        done.index(step)
        for step in (("create-replacement", DOWNLOAD), ("delete-replaced", CLUSTER), ("create-replacement", CLUSTER))
    ]
    assert places == sorted(places)
    assert uids(api, "persistentvolumeclaims") == claims
    assert {kind for kind, _ in objects(api)} == {"persistentvolumeclaims"}
    assert uids(api, "rayclusters", OTHER)
    moved.destroy()
    for namespace in (NAMESPACE, OTHER):
        for name in uids(api, "persistentvolumeclaims", namespace):
            api.delete(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}")


@pytest.fixture
def namespaces(api: ApiServer) -> Iterator[dict[str, str]]:
    """The namespaces of the shipped stacks by stack, and a node for each that has GPUs; at the end their claims go."""
    found = {name: str(stack.configuration(name)["kubernetes:namespace"]) for name in SHIPPED}
    for name in found.values():
        api.apply(f"/api/v1/namespaces/{name}", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    node = "/api/v1/nodes/h200"
    api.apply(node, gpu_node("h200", product="NVIDIA-H200", gpus=8))
    yield found
    api.delete(node)
    for name in found.values():
        for claim in uids(api, "persistentvolumeclaims", name):
            api.delete(f"/api/v1/namespaces/{name}/persistentvolumeclaims/{claim}")


def test_the_shipped_stacks_run_side_by_side_and_take_nothing_from_each_other(
    cluster: RunningCluster, api: ApiServer, namespaces: dict[str, str], tmp_path: Path
) -> None:
    def selected(name: str, **overrides: Any) -> automation.Stack:
        storage = stack.configuration(name)["deepseek:storage"] | {"storageClass": "local"}
        config = {"deepseek:image": FINISHED, "deepseek:storage": storage} | overrides
        return stack.select(name, cluster.kubeconfig, config, tmp_path)

    for name in SHIPPED:
        selected(name).up()
    for name, namespace in namespaces.items():
        instances = {
            item["metadata"]["labels"].get("app.kubernetes.io/instance")
            for (kind, _), item in objects(api, namespace).items()
            if kind not in ("secrets", "services", "pods")  # KubeRay makes some of these
        }
        assert instances == {name}
        assert uids(api, "rayclusters", namespace)
    before = {namespace: uids(api, "rayclusters", namespace) for namespace in namespaces.values()}

    intruder = selected("h200-fp8", **{"kubernetes:namespace": namespaces["a100-bf16"]})
    for command in (intruder.preview, intruder.up):
        with pytest.raises(automation.CommandError) as refused:
            command()
        for text in ("holds objects of stack 'a100-bf16'", "RayCluster deepseek", "Service deepseek", "Secret api-key"):
            assert text in str(refused.value)
    assert {namespace: uids(api, "rayclusters", namespace) for namespace in namespaces.values()} == before

    for name in SHIPPED:
        assert changed(selected(name).preview(expect_no_changes=True)) == {}
        selected(name).destroy()
