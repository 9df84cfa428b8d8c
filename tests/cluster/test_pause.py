"""A pause frees the GPUs and keeps the rest; afterwards the stack serves again, and nothing is built or fetched."""

from typing import Any

from components.shared.labels import COMPONENT
from local.cluster.api_server import ApiServer
from tests.cluster.conftest import Configure
from tests.cluster.world import causes
from tests.cluster.world.stack_objects import NAMESPACE, changed, objects, uids

PAUSED: dict[str, Any] = {"engines": 0}
OF_THE_PROXIES = {"update": 1, "replace": 1}
"""Their Deployment, and the ConfigMap by which they tell clients of a pause."""


def lasting(api: ApiServer) -> dict[tuple[str, str], str]:
    """Return the identities of what a pause keeps: claims, Secrets and Service, and the Jobs that took long."""
    work = ("build-", "mount-", "claim-", "download-")
    return {
        (kind, name): item["metadata"]["uid"]
        for (kind, name), item in objects(api).items()
        if kind == "persistentvolumeclaims"
        or (kind, name) in {("services", "deepseek"), ("secrets", "api-key")}
        or (kind == "jobs" and name.startswith(work))
    }


def key(api: ApiServer) -> str:
    return str(api.request("GET", f"/api/v1/namespaces/{NAMESPACE}/secrets/api-key")["data"]["key"])


def test_a_pause_ends_what_serves_and_keeps_the_rest(configured: Configure, api: ApiServer) -> None:
    configured().up()
    before, generated = lasting(api), key(api)
    assert len(before) == 8, before
    done = changed(configured(serving=PAUSED).up())
    assert done.pop("delete")
    assert done == OF_THE_PROXIES
    assert not uids(api, "rayclusters")
    assert uids(api, "poddisruptionbudgets").keys() == {"deepseek-endpoint"}
    running = [item for (kind, _), item in objects(api).items() if kind == "pods" and is_running(item)]
    assert {pod["metadata"]["labels"][COMPONENT] for pod in running} == {"endpoint"}, "no pod holds a GPU"
    assert not [name for name in uids(api, "jobs") if name.startswith(("serve-", "gate-"))]
    assert lasting(api) == before
    assert key(api) == generated
    assert changed(configured(serving=PAUSED).up()) == {}


def is_running(pod: dict[str, Any]) -> bool:
    return pod["status"]["phase"] not in {"Succeeded", "Failed"}


def test_serving_again_builds_and_fetches_nothing_and_takes_the_same_key(configured: Configure, api: ApiServer) -> None:
    before, generated = lasting(api), key(api)
    done = changed(configured(serving={"engines": 1}).up())
    assert done.pop("create")
    assert done == OF_THE_PROXIES
    assert uids(api, "rayclusters").keys() == {"deepseek"}
    assert {name.split("-")[0] for name in uids(api, "jobs")} >= {"serve", "gate"}
    assert lasting(api) == before
    assert key(api) == generated


def test_a_stack_may_begin_with_a_pause_and_be_destroyed_in_one(configured: Configure, api: ApiServer) -> None:
    configured(serving=PAUSED).up()
    configured(serving=PAUSED).destroy()
    assert {kind for kind, _ in objects(api)} == {"persistentvolumeclaims"}


def test_a_pause_needs_no_room_for_the_ray_pods(configured: Configure, api: ApiServer) -> None:
    selected = configured(serving=PAUSED)
    with causes.a_quota_of_sixteen_gpus(api):
        selected.up()
        assert not uids(api, "rayclusters")
        assert [name for name in uids(api, "jobs") if name.startswith("download-")]
    selected.destroy()
