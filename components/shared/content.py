"""Names that follow content: a Job or a mounted ConfigMap whose content changes is a new object with a new name.

So the new one is created, and its work done, before anything that serves is touched (a fixed name would force the old
one to be deleted first, and with it everything that depends on it).
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

IMAGES = Path(__file__).resolve().parents[2] / "images"
PROGRAM_FOLDERS = (
    "fetch",
    "fetch/oci",
    "fetch/s3",
    "fetch/shared",
    "ray-vllm/programs/benchmark",
    "ray-vllm/programs/gate",
    "ray-vllm/programs/head",
    "ray-vllm/programs/proof",
    "ray-vllm/programs/shared",
    "ray-vllm/programs/supervisor",
    "ray-vllm/programs/turn",
    "shared",
)
"""Folders of `images/` whose Python modules are mounted into pods and are in no image."""

PROJECT_SUFFIXES = {".py", ".toml"}


def digest(*contents: object) -> str:
    """Return 12 hexadecimal digits that change when any of the JSON-serialisable `contents` does."""
    text = json.dumps(contents, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def encoded(data: Mapping[str, bytes]) -> dict[str, str]:
    """Return the data of a Secret as Kubernetes wants it: each value in base64."""
    return {name: base64.b64encode(content).decode() for name, content in data.items()}


def build_context(folder: str, sources: Sequence[str]) -> dict[str, str]:
    """Return the files of `images/<folder>` that an image is built from, by path relative to it.

    A source is a file, or a folder with a Python project. What is not named decides nothing of the image.
    """
    root = IMAGES / folder
    files = [path for source in sources for path in _files(root / source)]
    return {str(path.relative_to(root)): path.read_text() for path in sorted(files)}


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    return [path for path in source.rglob("*") if path.suffix in PROJECT_SUFFIXES]
