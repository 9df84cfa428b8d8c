"""Writes what the files that arrived say of the model's size, as a file of planning/models, and compares it.

The plan was made before there were weights: from a file of planning/models that may be derived from config.json's
numbers, or by a formula. This one is read from the headers of the safetensors files. It goes into a ConfigMap, from
where a person commits it, and the next preview plans exactly. Nothing that serves depends on it.
"""

import json
import logging
from collections import Counter
from collections.abc import Mapping
from typing import Any

import in_cluster
from download_settings import DownloadSettings
from failure import binary
from inventory import MARKER, read
from progress import tell

from planning.headers.faults import BadRepository
from planning.headers.repository import read_repository
from planning.headers.sources import Folder
from planning.headers.summary import model_file

log = logging.getLogger(__name__)

KEY = "model.json"
"""Of the ConfigMap."""

COMMIT_DIGITS = 40
TELLING = 0.01
"""Part of all bytes by which one kind of tensors differs before it is told."""

Sums = Counter[tuple[str, str]]
"""Bytes by kind of tensor and its type, of all layers."""


def keep(download: DownloadSettings) -> None:
    """Write the file, and tell where the tensors are others than planned.

    A download does not fail for want of it, whatever is wrong: the weights are there, and verified.
    """
    if not download.model_file or download.index != 0:
        return
    try:
        _keep(download)
    except Exception:
        log.exception("A fault of the program kept it from making a file of planning/models")


def _keep(download: DownloadSettings) -> None:
    try:
        found = model_file(read_repository(Folder(download.directory), download.name, _commit(download)))
    except (BadRepository, OSError) as why:
        log.info("No file of planning/models was made of what arrived: %s", why)
        return
    planned = download.planned_model_file.read_text() if download.planned_model_file else ""
    if planned and (text := difference(json.loads(planned), found)):
        right = "the file of planning/models with which the plan is right (docs/gpu-memory.md)"
        tell(download, f"{text} The ConfigMap {download.model_file} has {right}.")
    try:
        write(f"/api/v1/namespaces/{download.namespace}/configmaps/{download.model_file}", found)
    except in_cluster.ApiError as error:
        log.warning("The model's own file could not be kept in ConfigMap %s: %s", download.model_file, error)
        return
    log.info("The model's own file for planning/models is in ConfigMap %s", download.model_file)


def write(config_map: str, found: Mapping[str, object]) -> None:
    """Write the file into the ConfigMap at that path. Raises ApiError."""
    data = {"data": {KEY: json.dumps(found, indent=2) + "\n"}}
    in_cluster.request("PATCH", config_map, data, content_type="application/merge-patch+json")


def difference(planned: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Return which kinds of tensors are others than planned, nothing where all are as planned.

    Both are files of planning/models.
    """
    before, now = _sums(planned), _sums(found)
    others = [
        f"{kind} in {of_type}: {binary(before[kind, of_type])} planned, {binary(now[kind, of_type])} arrived"
        for kind, of_type in sorted(before | now)
        if abs(before[kind, of_type] - now[kind, of_type]) > TELLING * now.total()
    ]
    return f"The tensors are not those that were planned ({'; '.join(others)})." if others else ""


def _sums(file: Mapping[str, Any]) -> Sums:
    """Add a file of planning/models up."""
    sums: Sums = Counter()
    for layers in file["layers"]:
        for line in layers["tensors"]:
            sums[line["kind"], line["type"]] += line["bytes"] * (layers["last"] - layers["first"] + 1)
    for line in file["outside"]:
        sums[line["kind"], line["type"]] += line["bytes"]
    return sums


def _commit(download: DownloadSettings) -> str | None:
    """Return the commit that was downloaded; None for what is none of Git's."""
    inventory = read(download.state / MARKER)
    return inventory.commit if inventory and len(inventory.commit) == COMMIT_DIGITS else None
