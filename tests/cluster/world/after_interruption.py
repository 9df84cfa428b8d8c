"""Ends what an interruption left, and sees that what is there is what one `up` makes."""

from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pulumi import automation

from components.shared.engine_names import numbered
from local.cluster.api_server import ApiServer
from tests.cluster.world.interrupted_run import Target
from tests.cluster.world.stack_objects import NAMESPACE, changed, objects

CLAIM = ("persistentvolumeclaims", "weights-local-rwx")
CLUSTER = "deepseek"
JOBS = ("build-fetch", "build-ray-vllm", "mount", "claim", "download")
OF_AN_ENGINE = ("serve", "gate")
OF_SEVERAL = ("turn-cluster", "turn-serve")
"""Jobs of each engine where there are several."""


@contextmanager
def interrupted_target(kubeconfig: Path, folder: Path, overrides: Mapping[str, Any]) -> Generator[Target]:
    """Give a stack whose runs may be cut off, and destroy it at the end."""
    target = Target(str(kubeconfig), str(folder), dict(overrides))
    yield target
    unlock(target)
    target.select().destroy()


def with_changes(target: Target, changes: dict[str, Any]) -> Target:
    return Target(target.kubeconfig, target.folder, target.overrides | changes)


def unlock(target: Target) -> None:
    if target.locks():
        target.select().cancel()


def finish(target: Target, api: ApiServer, engines: int = 1) -> None:
    """Bring the stack up after an interruption; fail if anything is there twice, is left over, or would change."""
    unlock(target)
    selected = target.select()
    selected.up()
    found = objects(api)
    of_jobs = Counter(name.rsplit("-", 1)[0] for kind, name in found if kind == "jobs")
    of_engines = (*OF_AN_ENGINE, *(OF_SEVERAL if engines > 1 else ()))
    numbers = range(engines)
    assert of_jobs == dict.fromkeys((*JOBS, *(numbered(job, number) for job in of_engines for number in numbers)), 1)
    assert [key for key in found if key[0] == "persistentvolumeclaims"] == [CLAIM]
    clusters = sorted(name for kind, name in found if kind == "rayclusters")
    assert clusters == [numbered(CLUSTER, number) for number in numbers]
    assert unaccounted(api, selected) == set()
    assert changed(selected.preview(refresh=True, expect_no_changes=True)) == {}


def unaccounted(api: ApiServer, selected: automation.Stack) -> set[tuple[str, str]]:
    """Return the objects that neither the state has nor another object owns."""
    deployment = selected.export_stack().deployment or {}
    recorded = {
        item["outputs"]["metadata"]["uid"]
        for item in deployment.get("resources", [])
        if item["type"].startswith("kubernetes:")
    }
    found = objects(api)
    replica_sets = api.request("GET", f"/apis/apps/v1/namespaces/{NAMESPACE}/replicasets")["items"]
    owners = (*found.values(), *(item for item in replica_sets if _owners(item) & recorded))
    owned_by = recorded | {item["metadata"]["uid"] for item in owners}
    return {
        key for key, item in found.items() if item["metadata"]["uid"] not in recorded and not owned_by & _owners(item)
    }


def _owners(item: dict[str, Any]) -> set[str]:
    return {owner["uid"] for owner in item["metadata"].get("ownerReferences", ())}
