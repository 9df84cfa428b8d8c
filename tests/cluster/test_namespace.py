"""A stack moves to another namespace: its weights are there before Ray leaves the old one, where the claim stays."""

from pathlib import Path

import pytest

from local import stack
from local.api_server import ApiServer
from local.simulated import RunningCluster
from tests.cluster.change_table import CLUSTER, DOWNLOAD
from tests.cluster.changed_stack import STACK, run
from tests.cluster.stack_objects import NAMESPACE, objects, uids

OTHER = "deepseek-2"
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
