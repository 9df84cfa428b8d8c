"""Names that follow content: a Job or a mounted ConfigMap whose content changes is a new object with a new name.

So the new one is created, and its work done, before anything that serves is touched (a fixed name would force the old
one to be deleted first, and with it everything that depends on it).
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

IMAGES = Path(__file__).resolve().parent.parent / "images"
PROGRAM_FOLDERS = ("fetch", "ray-vllm/programs", "shared")
"""Folders of `images/` whose Python modules are mounted into pods and are in no image."""

LEFT_OUT_OF_CONTEXTS = {"tests", "programs", "__pycache__"}
CONTEXT_SUFFIXES = {"", ".py", ".toml", ".txt"}


def digest(*contents: object) -> str:
    """Return 12 hexadecimal digits that change when any of the JSON-serialisable `contents` does."""
    text = json.dumps(contents, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def build_context(folder: str, build_args: Mapping[str, str]) -> dict[str, str]:
    """Return the files of `images/<folder>` that an image is built from, by path relative to it.

    Left out, because they do not decide what is in the image: tests, programs that are mounted at run time, the
    inputs of locks (`*.in`), and every lock but the one that a build argument names.
    """
    root = IMAGES / folder
    return {
        str(path.relative_to(root)): path.read_text()
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and path.suffix in CONTEXT_SUFFIXES
        and not LEFT_OUT_OF_CONTEXTS & set(path.relative_to(root).parts)
        and not _is_mounted(path)
        and (not path.name.startswith("requirements") or path.name in build_args.values())
    }


def _is_mounted(path: Path) -> bool:
    return path.suffix == ".py" and str(path.parent.relative_to(IMAGES)) in PROGRAM_FOLDERS
