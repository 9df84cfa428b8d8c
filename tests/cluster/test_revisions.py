"""A new revision comes down beside the one that serves, which stays as it is until the new one is whole."""

import threading
import time
from typing import Any

from local.cluster.api_server import ApiServer
from tests.cluster.conftest import Configure, Nodes
from tests.cluster.world.stack_objects import NAMESPACE

JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
CLUSTER = f"/apis/ray.io/v1/namespaces/{NAMESPACE}/rayclusters/deepseek"
SLOW_SECONDS = 10.0
"""How long the download is watched while it does not get on; everything else in these tests takes less."""


def jobs(api: ApiServer) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in api.request("GET", JOBS)["items"]}


def is_complete(job: dict[str, Any]) -> bool:
    return any(item["type"] == "Complete" and item["status"] == "True" for item in job["status"].get("conditions", ()))


def serving(api: ApiServer) -> dict[str, str]:
    """Return the identities of what serves and is not about to end."""
    found = [item for name, item in jobs(api).items() if name.startswith("serve-")]
    cluster = api.get(CLUSTER)
    return {
        item["metadata"]["name"]: item["metadata"]["uid"]
        for item in (*found, *([cluster] if cluster else []))
        if "deletionTimestamp" not in item["metadata"]
    }


def test_what_serves_is_untouched_until_the_download_is_complete(
    configured: Configure, api: ApiServer, nodes: Nodes
) -> None:
    configured().up()
    before, known = serving(api), set(jobs(api))
    assert len(before) == 2, "a RayCluster and a serving Job"
    nodes.close()
    selected = configured(model={"revision": "reviewed"}, storage={"otherRevisions": "remove"})
    up = threading.Thread(target=selected.up, daemon=True)
    up.start()
    download = new_job(api, known, "download-", up)
    end = time.monotonic() + SLOW_SECONDS
    while time.monotonic() < end:
        assert serving(api) == before
        assert not is_complete(jobs(api)[download])
        assert not [name for name in set(jobs(api)) - known if not name.startswith("download-")]
        time.sleep(0.2)
    nodes.open()
    while up.is_alive():
        now, job = serving(api), jobs(api)[download]  # in this order: the Job may be complete by the second look
        assert now == before or is_complete(job)
        time.sleep(0.05)
    after = serving(api)
    assert len(after) == 2
    assert not set(after.values()) & set(before.values())
    assert (
        api.request("GET", CLUSTER)["metadata"]["creationTimestamp"] >= jobs(api)[download]["status"]["completionTime"]
    )


def test_the_old_revision_goes_only_after_the_new_one_has_answered(configured: Configure, api: ApiServer) -> None:
    [gate] = [job for name, job in jobs(api).items() if name.startswith("gate-")]
    [remove] = [job for name, job in jobs(api).items() if name.startswith("remove-")]
    assert remove["metadata"]["creationTimestamp"] >= gate["status"]["completionTime"]
    [container] = remove["spec"]["template"]["spec"]["containers"]
    assert {"name": "CURRENT", "value": "reviewed"} in container["env"]
    configured().destroy()


def new_job(api: ApiServer, known: set[str], prefix: str, up: threading.Thread) -> str:
    while up.is_alive():
        if found := [name for name in jobs(api) if name.startswith(prefix) and name not in known]:
            return found[0]
        time.sleep(0.2)
    raise AssertionError(f"up ended without a new {prefix}")
