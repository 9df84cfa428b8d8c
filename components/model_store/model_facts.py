"""What the download needs to write the model's own file of planning/models: the plan's modules, and where it goes."""

import ast
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pulumi
import pulumi_kubernetes as k8s

from components.shared import content
from components.shared.labels import metadata
from components.shared.pods import PROGRAMS_MOUNT, Manifest, environment, only_container
from planning.settings.addresses import owner_and_name
from planning.settings.sections import Model
from planning.sizing import model_file

PACKAGE = "planning"
ENTRY_POINT = "planning.headers.repository"
MOUNT = "/plan"
CONFIG_MAP = "model-file"
"""The ConfigMap into which the download writes the file."""

PLANNED = "planned.json"
"""The file of planning/models with the sums of the repository's tensors, beside the modules."""

WRITE = k8s.rbac.v1.PolicyRuleArgs(
    api_groups=[""], resources=["configmaps"], resource_names=[CONFIG_MAP], verbs=["patch"]
)


@cache
def modules() -> dict[str, str]:
    """Return the text of `ENTRY_POINT` and all modules of planning/ that it imports, by path below the checkout."""
    found: dict[str, str] = {}
    waiting = [ENTRY_POINT]
    while waiting:
        path = _file(waiting.pop())
        name = str(path.relative_to(_root()))
        if name not in found:
            found[name] = path.read_text()
            waiting += _imported(found[name])
    return dict(sorted(found.items()))


def planned_file(model: Model) -> str:
    """Return the file of planning/models of a repository whose tensors it adds up, empty for any other."""
    path = model_file.path_of(model.repository)
    text = path.read_text() if path else ""
    return text if text and json.loads(text).get("layers") else ""


def write_facts(pod: Manifest, model: Model, opts: pulumi.ResourceOptions) -> None:
    """Let the download's pod add the model's own sizes up, and create the ConfigMap that it writes them into."""
    kept = k8s.core.v1.ConfigMap(
        CONFIG_MAP,
        metadata=metadata(CONFIG_MAP, "weights"),
        opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(ignore_changes=["data"])),
    )
    files = {**modules(), PLANNED: planned_file(model)}
    keys = {path: path.replace("/", ".") for path in files}
    mounted = k8s.core.v1.ConfigMap(
        "download-plan",
        metadata=metadata(f"download-plan-{content.digest(files)}", "weights"),
        data={keys[path]: text for path, text in files.items()},
        immutable=True,
        opts=opts,
    )
    container = only_container(pod)
    container["env"] += environment(
        {
            "MODEL_FILE": kept.metadata["name"],
            "MODEL_NAME": owner_and_name(model.repository),
            "PLAN": MOUNT,
            "PYTHONPATH": f"{PROGRAMS_MOUNT['mountPath']}:{MOUNT}",
        }
    )
    container["volumeMounts"].append({"name": "plan", "mountPath": MOUNT, "readOnly": True})
    items = [{"key": key, "path": path} for path, key in keys.items()]
    pod["volumes"].append({"name": "plan", "configMap": {"name": mounted.metadata["name"], "items": items}})


def _root() -> Path:
    return model_file.FOLDER.parents[1]


def _file(module: str) -> Path:
    path = _root().joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _imported(text: str) -> Iterator[str]:
    """Yield the modules of planning/ that a module imports, each after the packages that it is in."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            parts = str(node.module).split(".")
            yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))
