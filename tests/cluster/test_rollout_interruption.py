"""A rollout over two engines that is cut off at a resource: the next `up` ends it, and one engine is always whole."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from local.cluster.api_server import ApiServer
from local.cluster.simulated import RunningCluster
from tests.cluster.world.after_interruption import finish, interrupted_target, unlock, with_changes
from tests.cluster.world.interrupted_run import Place, Target, interrupted, places
from tests.cluster.world.stack_objects import objects
from tests.cluster.world.watched_objects import watched
from tests.cluster.world.whole_engines import whole, whole_at_each_moment
from tests.sampling import swept

pytestmark = pytest.mark.usefixtures("quick_provider")

ENGINES = frozenset({"deepseek", "deepseek-1"})
MINIMUM_SERVING = 1
"""`rollout.minimumServing` of two engines, where it is unset."""

SERVING: dict[str, Any] = {"engines": 2}
TWO_ENGINES: dict[str, Any] = {
    "deepseek:model": {"repository": "https://huggingface.co/deepseek-ai/DeepSeek-V3", "revision": "main"},
    "deepseek:hardware": {"gpu": "NVIDIA-A100-SXM4-80GB", "gpusPerNode": 8, "nodes": 2},
    "deepseek:serving": SERVING,
}

RESOURCES = 20
"""How many resources a rollout of RayClusters begins. That of a flag replaces neither of them, and begins fewer."""


@pytest.fixture(scope="module", autouse=True)
def state_is_saved_once() -> None:
    """Save it at each resource, as users' engines do: an interruption finds the state of the moment."""


@pytest.fixture(scope="module")
def target(
    cluster: RunningCluster, article: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Target]:
    storage = {"deepseek:storage": article["deepseek:storage"] | {"storageClass": "local"}}
    with interrupted_target(
        cluster.kubeconfig, tmp_path_factory.mktemp("interrupted"), storage | TWO_ENGINES
    ) as target:
        yield target


@pytest.fixture
def before(target: Target, api: ApiServer) -> Mapping[tuple[str, str], Any]:
    """Return the objects of two engines that are whole, as the last rollout left them; anew where it did not."""
    if whole(objects(api)) != ENGINES:
        unlock(target)
        target.select().up()
    found = objects(api)
    assert whole(found) == ENGINES
    return found


def another_flag(place: Place) -> dict[str, Any]:
    return {"deepseek:serving": SERVING | {"maxModelLen": 8192 + 1024 * place.number}}


def another_variable(place: Place) -> dict[str, Any]:
    """Return what replaces the RayClusters; each place has a change of its own."""
    return {"deepseek:pods": {"environment": {"NCCL_IB_GID_INDEX": str(place.number)}}}


@pytest.mark.parametrize("place", swept(places(RESOURCES // 2), sample=0))
def test_a_rollout_of_a_flag_that_was_cut_off_leaves_one_engine_whole(
    place: Place, before: Mapping[tuple[str, str], Any], target: Target, api: ApiServer
) -> None:
    cut_off(with_changes(target, another_flag(place)), place, before, api)


@pytest.mark.parametrize("place", swept(places(RESOURCES)[::2], sample=0))
def test_a_rollout_of_ray_clusters_that_was_cut_off_leaves_one_engine_whole(
    place: Place, before: Mapping[tuple[str, str], Any], target: Target, api: ApiServer
) -> None:
    cut_off(with_changes(target, another_variable(place)), place, before, api)


def cut_off(changed: Target, place: Place, before: Mapping[tuple[str, str], Any], api: ApiServer) -> None:
    """Cut the rollout off and let the next `up` end it; see which engines were whole meanwhile."""
    with watched(api) as moments:
        assert len(interrupted(changed, "up", place)) == place.number, "the rollout ended before this place"
        finish(changed, api, len(ENGINES))
    found = list(whole_at_each_moment(before, moments))
    assert [moment for moment, engines in found if len(engines) < MINIMUM_SERVING] == []
    assert set[str]().union(*(ENGINES - engines for _, engines in found)) == ENGINES, "each engine was replaced"
