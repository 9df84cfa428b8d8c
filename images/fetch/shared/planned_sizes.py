"""Whether the weights on the volume have the size that the plan was made with.

The plan is made before there are weights: from a file of planning/models, or from numbers of config.json. The tensors
that arrived are added up from the headers of the safetensors files, which takes a second.
"""

import json
from collections import Counter
from pathlib import Path

from download_settings import DownloadSettings
from failure import binary
from progress import tell
from safetensors_header import BadHeader, bytes_by_type

INDEX = "model.safetensors.index.json"
TELLING = 0.01
"""The part of the plan's bytes by which the weights differ before it is told. KV tokens are promised within 3 %."""


def compare(download: DownloadSettings) -> None:
    """Tell in the log and in the running `pulumi up` where the weights are not as large as planned. Raises OSError."""
    planned = download.planned_bytes
    if planned and download.index == 0 and (text := difference(download.directory, planned)):
        tell(download, text)


def difference(folder: Path, planned: int) -> str:
    """Return what is to be told of weights that differ from so many planned bytes, nothing if they do not."""
    found: Counter[str] = Counter()
    for path in weight_files(folder):
        try:
            found.update(bytes_by_type(path))
        except BadHeader as bad:
            return f"The sizes of the weights cannot be compared with the plan: {path.name}: {bad}."
    arrived = found.total()
    if abs(arrived - planned) <= TELLING * planned:
        return ""
    types = ", ".join(f"{kind} {binary(size)}" for kind, size in found.most_common())
    part = abs(arrived - planned) / planned
    return (
        f"The weights are not what was planned: {binary(planned)} were planned, and {binary(arrived)} arrived "
        f"({types or 'no tensors'}). GPUs hold {100 * part:.1f} % {'more' if arrived > planned else 'less'} than the "
        "plan of their memory says. Write the model's own sizes by `make model` (docs/gpu-memory.md), or correct "
        "deepseek:model.precision and model.architecture."
    )


def weight_files(folder: Path) -> list[Path]:
    """Return the files that vLLM reads: those that the index names, or every safetensors file where there is none."""
    try:
        named = set(json.loads((folder / INDEX).read_text())["weight_map"].values())
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return sorted(folder.glob("*.safetensors"))
    return sorted(path for name in named if (path := folder / name).is_file())
