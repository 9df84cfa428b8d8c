"""The programs of the pods: each pod mounts its own modules and what they import, and nothing else.

So a changed module restarts the pods that run it, and no others.
"""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pulumi
import pulumi_kubernetes as k8s

from components.shared import content
from components.shared.labels import metadata

SHARED = "shared"


def programs(*entry_points: str) -> dict[str, str]:
    """Return the text of modules by file name: the entry points, and all below `images/` that they import.

    An entry point is a path without suffix, such as `fetch/claim`. A module is looked for in the folder of the module
    that imports it, then in the folders `shared` in it, beside it and further up, `images/shared` last.
    """
    waiting = [content.IMAGES / f"{entry_point}.py" for entry_point in entry_points]
    found: dict[str, str] = {}
    while waiting:
        path = waiting.pop()
        if path.name not in found:
            found[path.name] = path.read_text()
            waiting += _imported(path.parent, found[path.name])
    return dict(sorted(found.items()))


def programs_config_map(
    name: str, component: str, files: Mapping[str, str], opts: pulumi.ResourceOptions
) -> pulumi.Output[str]:
    """Create the immutable ConfigMap of a pod's programs, named by their content; return its name."""
    return k8s.core.v1.ConfigMap(
        f"{name}-programs",
        metadata=metadata(f"{name}-programs-{content.digest(files)}", component),
        data=files,
        immutable=True,
        opts=opts,
    ).metadata["name"]


def _imported(folder: Path, text: str) -> Iterator[Path]:
    for name in dict.fromkeys(module.partition(".")[0] for module in imported_modules(text)):
        around = [place / SHARED for place in (folder, *folder.parents) if place.is_relative_to(content.IMAGES)]
        candidates = [place / f"{name}.py" for place in (folder, *around)]
        yield from [path for path in candidates if path.is_file()][:1]


@cache
def imported_modules(text: str) -> tuple[str, ...]:
    """Return the names of the modules that a module imports, also those that it imports within a function.

    Each text is parsed once in a process. CPython 3.11 can end with a SystemError, "AST constructor recursion depth
    mismatch", where threads parse at the same time; it was seen once, in an `up` of the Automation API.
    """
    names: list[str] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
    return tuple(names)
