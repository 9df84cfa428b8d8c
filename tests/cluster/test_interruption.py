"""Runs that are cut off at each resource in turn: the next one ends what they began, and nothing is doubled."""

from collections.abc import Iterator
from typing import Any

import pytest
from _pytest.mark.structures import ParameterSet
from pulumi import automation

from local.cluster.api_server import ApiServer
from local.cluster.simulated import RunningCluster
from tests.cluster.world.after_interruption import CLAIM, finish, interrupted_target, unlock, with_changes
from tests.cluster.world.interrupted_run import HOW, Place, Target, interrupted, places
from tests.cluster.world.stack_objects import NAMESPACE, objects
from tests.sampling import swept

pytestmark = pytest.mark.usefixtures("quick_provider")

RESOURCES = 50
"""How many objects the stack makes."""

FLAG: dict[str, Any] = {"deepseek:serving": {"maxModelLen": 8192}}
NODES: dict[str, Any] = {
    "deepseek:hardware": {"gpu": "NVIDIA-A100-SXM4-80GB", "gpusPerNode": 8, "nodes": 2},
    "deepseek:model": {"repository": "https://huggingface.co/deepseek-ai/DeepSeek-V3", "revision": "main"},
}
MADE_BY_THE_STACK = {"app.kubernetes.io/instance": "a100-bf16", "app.kubernetes.io/managed-by": "pulumi"}


def one_of_each_way(count: int) -> list[ParameterSet]:
    """Return so many places, one of each way to end in the sample."""
    found = places(count)
    return [parameter for how in HOW for parameter in swept([place for place in found if place.how == how], sample=1)]


@pytest.fixture(scope="module", autouse=True)
def state_is_saved_once() -> None:
    """Save it at each resource, as users' engines do: an interruption finds the state of the moment."""


@pytest.fixture(scope="module")
def target(
    cluster: RunningCluster, article: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    storage = {"deepseek:storage": article["deepseek:storage"] | {"storageClass": "local"}}
    with interrupted_target(cluster.kubeconfig, tmp_path_factory.mktemp("interrupted"), storage) as target:
        yield target


def cut_off(name: str, changes: dict[str, Any], *, sample: int) -> list[ParameterSet]:
    """Return a change that is cut off at each of its first nine resources."""
    return [
        pytest.param(*place.values, changes, id=f"{name}-{place.id}", marks=place.marks)
        for place in swept(places(9), sample=sample)
    ]


@pytest.mark.parametrize("place", one_of_each_way(RESOURCES))
def test_an_up_and_a_destroy_that_were_cut_off_are_ended_by_the_next_and_a_lock_is_told(
    place: Place, target: Target, api: ApiServer
) -> None:
    assert len(interrupted(target, "up", place)) == place.number
    finish(target, api)
    assert len(interrupted(target, "destroy", place)) == place.number
    if place.how == "killed":
        assert target.locks()
        with pytest.raises(automation.CommandError, match="pulumi cancel"):
            target.select().up()
    unlock(target)
    target.select().destroy()
    assert list(objects(api)) == [CLAIM]


@pytest.mark.parametrize(("place", "changes"), [*cut_off("flag", FLAG, sample=0), *cut_off("nodes", NODES, sample=1)])
def test_a_change_that_was_cut_off_leaves_one_server_on_one_cluster(
    place: Place, changes: dict[str, Any], target: Target, api: ApiServer
) -> None:
    unlock(target)
    target.select().up()
    interrupted(with_changes(target, changes), "up", place)
    finish(with_changes(target, changes), api)


@pytest.mark.faults
def test_a_change_that_was_cut_off_and_taken_back_leaves_one_server(target: Target, api: ApiServer) -> None:
    unlock(target)
    target.select().up()
    begun = interrupted(with_changes(target, FLAG), "up", Place(4, "killed"))
    assert begun[-1] == "creating batch/v1:Job serve"
    finish(target, api)


@pytest.mark.faults
def test_a_destroy_that_was_cut_off_and_taken_back_serves_again(target: Target, api: ApiServer) -> None:
    unlock(target)
    target.select().up()
    interrupted(target, "destroy", Place(6, "killed"))
    unlock(target)
    target.select().refresh()
    finish(target, api)


@pytest.mark.faults
def test_what_a_destroy_after_a_killed_up_cannot_know_is_found_by_its_label(target: Target, api: ApiServer) -> None:
    interrupted(target, "up", Place(24, "killed"))
    unlock(target)
    target.select().destroy()
    left = {
        key: item for key, item in objects(api).items() if key != CLAIM and "ownerReferences" not in item["metadata"]
    }
    for (kind, name), item in left.items():
        assert item["metadata"]["labels"].items() >= MADE_BY_THE_STACK.items(), f"{kind} {name} in {NAMESPACE}"
    finish(target, api)
