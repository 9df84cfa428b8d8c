"""Weights that somebody put onto a claim: the Job that adopts them, and what is refused."""

from typing import Any

import pytest

from planning.egress import download_peers
from planning.parse import parse
from tests.unit.components.registrations import Program, run, stack_file
from tests.unit.planning.stacks import plan, raw

FILLED: dict[str, dict[str, Any]] = {
    "model": {"folder": "models/V3"},
    "storage": {"existingClaim": "theirs", "size": None},
}


def stack(**changes: dict[str, Any]) -> Program:
    config = stack_file("a100-bf16")
    for section, keys in (FILLED | changes).items():
        merged = config[f"deepseek:{section}"] | keys
        config[f"deepseek:{section}"] = {key: value for key, value in merged.items() if value is not None}
    return run(config | {"deepseek:modelToken": "token"}, secrets=["deepseek:modelToken"])


def test_one_pod_reads_the_folder_and_the_ray_pods_mount_it() -> None:
    program = stack()
    [container] = program.one("Job", "download").inputs["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["python3", "-m", "adopt"]
    environment = {item["name"]: item.get("value") for item in container["env"]}
    assert environment["MODEL_DIRECTORY"].endswith("/models/V3")
    assert "MODEL_TOKEN" not in environment
    [files] = [item.inputs["data"] for item in program.kubernetes() if item.name == "download-programs"]
    assert {"adopt.py", "safetensors_header.py"} <= files.keys()
    spec = program.one("RayCluster", "deepseek").inputs["spec"]["headGroupSpec"]["template"]["spec"]
    mounts = [item for item in spec["containers"][0]["volumeMounts"] if item["name"] == "weights"]
    assert {"subPath": "models/V3", "readOnly": True}.items() <= mounts[0].items()
    assert not mounts[1].get("readOnly")


def test_such_a_pod_leaves_the_cluster_for_nothing() -> None:
    settings = parse(raw(**FILLED))
    assert download_peers(settings.network, settings.model) == []


def test_it_is_planned_without_a_download_and_is_not_called_unpinned() -> None:
    planned = plan(**FILLED | {"storage": {"existingClaim": "theirs", "downloadBandwidth": "1Gbit"}})
    assert planned.problems == []
    assert planned.download_seconds is None
    assert not any("not pinned" in warning for warning in planned.warnings)


@pytest.mark.parametrize(
    ("sections", "key"),
    [
        ({"model": {"folder": "models/V3"}}, "model.folder"),
        (FILLED | {"model": {"folder": "cache/x"}}, "model.folder"),
        (FILLED | {"model": {"folder": "adopted"}}, "model.folder"),
        (FILLED | {"storage": {"existingClaim": "theirs", "otherRevisions": "remove"}}, "storage.otherRevisions"),
        (FILLED | {"storage": {"existingClaim": "theirs", "downloadPods": 4}}, "storage.downloadPods"),
    ],
)
def test_what_does_not_go_with_it_is_refused(sections: dict[str, dict[str, Any]], key: str) -> None:
    assert [problem.key for problem in plan(**sections).problems] == [key]
