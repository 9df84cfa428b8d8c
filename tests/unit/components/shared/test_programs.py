"""What an edit of a program restarts: the pods that run the module, and no others."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import network_check
import pytest

from components.shared import content
from tests.unit.components.registrations import Program, run, stack_file

CLUSTER = "RayCluster deepseek"
BENCHMARK = "Job benchmark"
GATE = "Job gate"
SERVE = "Job serve"
CLAIM, DOWNLOAD, MOUNT, REMOVE = "Job claim", "Job download", "Job mount", "Job remove"
RESTARTED_BY = {
    "fetch/adopt": set[str](),
    "fetch/claim": {CLAIM},
    "fetch/earlier": {DOWNLOAD},
    "fetch/fetch": {DOWNLOAD},
    "fetch/git_repository": {DOWNLOAD},
    "fetch/lfs_output": {DOWNLOAD},
    "fetch/meanings": {DOWNLOAD},
    "fetch/mount": {CLAIM, MOUNT},
    "fetch/object_store": {DOWNLOAD},
    "fetch/removal": {REMOVE},
    "fetch/repository_address": {DOWNLOAD},
    "fetch/oci/fetch_oci": set[str](),
    "fetch/oci/oci_artifact": set[str](),
    "fetch/oci/oci_client": set[str](),
    "fetch/oci/oci_failures": set[str](),
    "fetch/oci/oci_manifest": set[str](),
    "fetch/s3/fetch_s3": set[str](),
    "fetch/s3/s3_bucket": set[str](),
    "fetch/s3/s3_failures": set[str](),
    "fetch/s3/sha256sums": set[str](),
    "fetch/shared/connection_failures": set[str](),
    "fetch/shared/connections": {DOWNLOAD},
    "fetch/shared/download_metrics": {DOWNLOAD},
    "fetch/shared/download_program": {DOWNLOAD},
    "fetch/shared/download_settings": {CLAIM, DOWNLOAD},
    "fetch/shared/failure": {CLAIM, DOWNLOAD, MOUNT, REMOVE},
    "fetch/shared/filesystem": {CLAIM, DOWNLOAD, MOUNT, REMOVE},
    "fetch/shared/inventory": {CLAIM, DOWNLOAD, MOUNT, REMOVE},
    "fetch/shared/lease": {DOWNLOAD},
    "fetch/shared/links": {DOWNLOAD},
    "fetch/shared/model_folder": {DOWNLOAD},
    "fetch/shared/network_failures": {DOWNLOAD},
    "fetch/shared/object_download": set[str](),
    "fetch/shared/object_transfer": set[str](),
    "fetch/shared/patience": {DOWNLOAD},
    "fetch/shared/planned_sizes": {DOWNLOAD},
    "fetch/shared/pod_shares": {DOWNLOAD},
    "fetch/shared/progress": {CLAIM, DOWNLOAD},
    "fetch/shared/model_facts": {DOWNLOAD},
    "fetch/shared/repetition": {CLAIM, DOWNLOAD, MOUNT},
    "fetch/shared/safetensors_header": {DOWNLOAD},
    "fetch/shared/source": set[str](),
    "fetch/shared/this_machine": {DOWNLOAD},
    "fetch/transfer": {DOWNLOAD},
    "fetch/verification": {DOWNLOAD},
    "fetch/words": {CLAIM, DOWNLOAD, MOUNT},
    "ray-vllm/programs/gate/chat_form": {GATE, BENCHMARK},
    "ray-vllm/programs/gate/cluster_state": {GATE, BENCHMARK},
    "ray-vllm/programs/shared/completion": {CLUSTER, SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/gate/diagnosis": {GATE, BENCHMARK},
    "ray-vllm/programs/gate/network_story": {GATE, BENCHMARK},
    "ray-vllm/programs/shared/direct_http": {CLUSTER, SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/supervisor/door_agent": {SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/supervisor/draining": {SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/supervisor/engine_log": {SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/supervisor/engine_watch": {SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/supervisor/failing_node": {SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/supervisor/failure_history": {SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/supervisor/following": {SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/gate/gate": {GATE, BENCHMARK},
    "ray-vllm/programs/head/count_tokens": set[str](),
    "ray-vllm/programs/head/interfaces": {CLUSTER, SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/shared/serving_events": {SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/supervisor/joining": {SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/shared/kept_result": {SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/shared/key_file": {CLUSTER, SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/supervisor/last_words": {SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/shared/liveness": {CLUSTER, SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/head/leaving": set[str](),
    "ray-vllm/programs/supervisor/leaving_pods": {SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/head/worker_readiness": set[str](),
    "ray-vllm/programs/supervisor/log_follower": {SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/supervisor/network_check": {SERVE, GATE, BENCHMARK},
    **{f"ray-vllm/programs/proof/{module}": {SERVE, GATE, BENCHMARK} for module in network_check.MODULES},
    "ray-vllm/programs/supervisor/own_job": {SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/supervisor/ray_api": {SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/shared/planned_nodes": {SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/head/ray_pod": {CLUSTER, SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/head/readiness": {CLUSTER, SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/shared/refusals": {SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/head/require_key": {CLUSTER, SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/head/token_minute": set[str](),
    "ray-vllm/programs/head/token_usage": set[str](),
    "ray-vllm/programs/supervisor/supervisor": {SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/supervisor/supervisor_metrics": {SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/shared/supervisor_log": {SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/supervisor/vllm_job": {SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/turn/turn": set[str](),
    "ray-vllm/programs/shared/warm_load": {CLUSTER, SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/supervisor/warm_up": {SERVE, GATE, BENCHMARK},
    "ray-vllm/programs/benchmark/bench_tool": {BENCHMARK},
    "ray-vllm/programs/benchmark/benchmark": {BENCHMARK},
    "shared/in_cluster": {CLAIM, DOWNLOAD, SERVE, GATE, BENCHMARK},
    "shared/kube_objects": {CLAIM, GATE, BENCHMARK},
    "shared/metrics": {DOWNLOAD, SERVE, GATE, BENCHMARK},
    "shared/job_event": {CLAIM, DOWNLOAD, SERVE, GATE, BENCHMARK},
    "shared/own_deadline": {CLAIM, GATE, BENCHMARK},
    "shared/suspension": {CLAIM, GATE, BENCHMARK},
}
"""The gate is made again with what it checks, both with the RayCluster (`replace_with`), the benchmark with the gate,
and `claim` with `mount`."""


def everything() -> Program:
    config = stack_file("a100-bf16")
    config["deepseek:storage"]["otherRevisions"] = "remove"
    config["deepseek:benchmark"] = {"enabled": True}
    return run(config)


@pytest.fixture(scope="module")
def before() -> Program:
    return everything()


def restarted(before: Program, after: Program) -> set[str]:
    """Return which Jobs and which RayCluster differ, and which are replaced with one that does."""
    kinds = (":Job", ":RayCluster")
    then = {item.urn: item.inputs for item in before.kubernetes()}
    now = [item for item in after.kubernetes() if item.type.endswith(kinds)]
    assert len(now) == 10
    differ = {item.urn for item in now if item.inputs != then[item.urn]}
    while more := {item.urn for item in now if differ & set(item.request.replace_with)} - differ:
        differ |= more
    return {f"{item.type.split(':')[-1]} {item.name}" for item in now if item.urn in differ}


def modules() -> set[str]:
    return {
        f"{folder}/{path.stem}" for folder in content.PROGRAM_FOLDERS for path in (content.IMAGES / folder).glob("*.py")
    }


def test_it_is_known_of_every_module_what_an_edit_restarts() -> None:
    assert RESTARTED_BY.keys() == modules()


@pytest.mark.parametrize("module", sorted(RESTARTED_BY))
def test_an_edited_module_restarts_what_runs_it(
    module: str, before: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "images"
    shutil.copytree(content.IMAGES, copy, ignore=shutil.ignore_patterns("tests", "__pycache__"))
    monkeypatch.setattr(content, "IMAGES", copy)
    edited = copy / f"{module}.py"
    edited.write_text(edited.read_text() + "# edited\n")
    assert restarted(before, everything()) == RESTARTED_BY[module]


def test_an_edited_test_restarts_nothing(before: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "images"
    shutil.copytree(content.IMAGES, copy)
    monkeypatch.setattr(content, "IMAGES", copy)
    for test in copy.glob("*/tests/*.py"):
        test.write_text(test.read_text() + "# edited\n")
    assert restarted(before, everything()) == set()


def mounts(stack: Program) -> list[tuple[dict[str, Any], dict[str, str]]]:
    """Return each container of our own programs with the files that it finds at /programs."""
    data = {
        item.inputs["metadata"]["name"]: item.inputs["data"]
        for item in stack.kubernetes()
        if item.type.endswith(":ConfigMap") and "data" in item.inputs
    }
    pods = [item.inputs["spec"]["template"]["spec"] for item in stack.kubernetes() if item.type.endswith(":Job")]
    pods.append(stack.one("RayCluster", "deepseek").inputs["spec"]["headGroupSpec"]["template"]["spec"])
    return [
        (pod["containers"][0], data[volume["configMap"]["name"]])
        for pod in pods
        for volume in pod["volumes"]
        if volume["name"] == "programs"
    ]


def test_every_pod_mounts_all_modules_that_it_imports_and_no_others(before: Program, tmp_path: Path) -> None:
    found = mounts(before)
    assert len(found) == 8
    for container, files in found:
        folder = tmp_path / container["name"]
        folder.mkdir()
        for name, text in files.items():
            (folder / name).write_text(text)
        entry_points = container.get("command", [])[2:] or ["ray_pod", "readiness", "require_key"]
        loaded = "{name for name, module in sys.modules.items() if getattr(module, '__file__', '').startswith(folder)}"
        program = f"import sys; folder = sys.argv[1]; import {', '.join(entry_points)}; print(*{loaded})"
        ran = subprocess.run(
            [sys.executable, "-B", "-c", program, str(folder)],
            env={"PYTHONPATH": str(folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, f"{container['name']}: {ran.stderr}"
        proof = network_check.MODULES if container["name"] == "supervisor" else ()  # it runs on the Ray nodes
        assert {f"{name}.py" for name in (*ran.stdout.split(), *proof)} == files.keys(), container["name"]


def test_programs_import_one_another_by_statements_that_can_be_read() -> None:
    """What is imported by a name made at run time would not be mounted."""
    for module in modules():
        names = {
            node.id
            for node in ast.walk(ast.parse((content.IMAGES / f"{module}.py").read_text()))
            if isinstance(node, ast.Name)
        }
        assert not {"importlib", "__import__", "runpy"} & names, module
