"""What the download needs to write the model's own file of planning/models: the plan's modules, and where it goes."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pulumi
import pulumi_kubernetes as k8s

from components.shared.pods import PROGRAMS_MOUNT, Manifest, environment, only_container
from components.shared.programs import imported_modules, programs_config_map
from components.shared.result import written_config_map
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
            ours = (module for module in imported_modules(found[name]) if module.split(".")[0] == PACKAGE)
            waiting += [part for module in ours for part in _with_packages(module)]
    return dict(sorted(found.items()))


def planned_file(model: Model) -> str:
    """Return the file of planning/models of a repository whose tensors it adds up, empty for any other."""
    known, path = model_file.known_model(model.repository), model_file.path_of(model.repository)
    return path.read_text() if path and known and known.sums else ""


def write_facts(pod: Manifest, model: Model, opts: pulumi.ResourceOptions) -> None:
    """Let the download's pod add the model's own sizes up, and create the ConfigMap that it writes them into."""
    kept = written_config_map(CONFIG_MAP, "weights", opts)
    files = {**modules(), PLANNED: planned_file(model)}
    keys = {path: path.replace("/", ".") for path in files}  # a ConfigMap has no folders
    plan = programs_config_map("download-plan", "weights", {keys[path]: text for path, text in files.items()}, opts)
    container = only_container(pod)
    container["env"] += environment(
        {
            "MODEL_NAME": owner_and_name(model.repository),
            "MODEL_FILE": kept.metadata["name"],
            "PLANNED_MODEL_FILE": f"{MOUNT}/{PLANNED}",
            "PYTHONPATH": f"{PROGRAMS_MOUNT['mountPath']}:{MOUNT}",
        }
    )
    container["volumeMounts"].append({"name": "plan", "mountPath": MOUNT, "readOnly": True})
    items = [{"key": key, "path": path} for path, key in keys.items()]
    pod["volumes"].append({"name": "plan", "configMap": {"name": plan, "items": items}})


def _root() -> Path:
    return model_file.FOLDER.parents[1]


def _file(module: str) -> Path:
    path = _root().joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _with_packages(module: str) -> Iterator[str]:
    """Yield the packages that a module is in, and the module."""
    parts = module.split(".")
    yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))
