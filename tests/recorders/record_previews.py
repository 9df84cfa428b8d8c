"""Records what `pulumi preview --json` prints for changes of the article's stack.

    python -m tests.recorders.record_previews

The engine, provider, API server and KubeRay operator are the real ones, the GPU nodes simulated, and so is the result
of the benchmark; about two minutes.
A recording leaves out manifests, places in source files, and what the engine says of a provider that was built here.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any, cast

from pulumi import automation

from local import paths, stack
from local.cluster.simulated import simulated_cluster
from tests.cluster.world.played_benchmark import write_result
from tests.cluster.world.stack_objects import NAMESPACE

FOLDER = paths.CHECKOUT / "tests" / "unit" / "planning" / "review" / "previews"
STACK = "a100-bf16"
BEFORE: dict[str, dict[str, Any]] = {
    "hardware": {"pricePerGpuHour": 1.8},
    "storage": {"storageClass": "local"},
    "benchmark": {"enabled": True},
}
CHANGES: dict[str, dict[str, dict[str, Any]]] = {
    "nodes": {"hardware": {"nodes": 8}},
    "flag": {"serving": {"gpuMemoryUtilization": 0.75}},
    "revision": {"model": {"revision": "reviewed"}},
    "claim": {"storage": {"storageClass": None}},
    "refused": {"hardware": {"nodes": 2}},
    "nothing": {},
}
LEFT_OUT = {"sourcePosition", "stackTrace", "inputs", "dependencies", "propertyDependencies", "created", "modified"}


def configured(kubeconfig: Path, folder: Path, changes: dict[str, dict[str, Any]]) -> automation.Stack:
    article = stack.configuration(STACK)
    overrides = {
        f"deepseek:{section}": article.get(f"deepseek:{section}", {})
        | BEFORE.get(section, {})
        | changes.get(section, {})
        for section in {*BEFORE, *changes}
    }
    return stack.select(STACK, kubeconfig, overrides, folder)


def preview(configured_stack: automation.Stack) -> dict[str, Any]:
    try:
        return json.loads(configured_stack.preview(json=True).stdout)
    except automation.CommandError as refused:
        text = str(refused)  # exit code, then both streams
        return json.JSONDecoder().raw_decode(text, text.index("{"))[0]


def kept(value: Any) -> Any:
    """Return the value without what a recording leaves out; outputs stay where they are the stack's."""
    if isinstance(value, list):
        return [kept(item) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    value = cast("dict[str, Any]", value)
    without = LEFT_OUT if value.get("type") == "pulumi:pulumi:Stack" else LEFT_OUT | {"outputs"}
    return {key: kept(item) for key, item in value.items() if key not in without}


def recording(document: dict[str, Any]) -> dict[str, Any]:
    said = [
        item for item in document.get("diagnostics", []) if not any(text in item["message"] for text in stack.REMARKS)
    ]
    states = [
        {key: kept(item) if key in {"oldState", "newState"} else item for key, item in step.items()}
        for step in document["steps"]
    ]
    lasting = {key: value for key, value in document.items() if key != "duration"}
    return lasting | {"steps": states, "diagnostics": said}


def record(name: str, document: dict[str, Any]) -> None:
    text = json.dumps(recording(document), indent=1, ensure_ascii=False, sort_keys=True)
    (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as state, simulated_cluster() as cluster:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        cluster.api_server.apply(f"/api/v1/namespaces/{NAMESPACE}", namespace)
        record("first", preview(configured(cluster.kubeconfig, Path(state), {})))
        configured(cluster.kubeconfig, Path(state), {}).up()
        write_result(cluster.api_server)
        configured(cluster.kubeconfig, Path(state), {}).up()
        for name, changes in CHANGES.items():
            record(name, preview(configured(cluster.kubeconfig, Path(state), changes)))


if __name__ == "__main__":
    sys.exit(main())
