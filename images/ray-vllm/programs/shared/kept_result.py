"""What a program has measured, kept in a ConfigMap, from where `up` reads it (components/shared/result.py)."""

import json
from collections.abc import Mapping
from typing import Any

import in_cluster

RESULT, PREVIOUS = "result", "previous"
"""Keys of the ConfigMap: what was measured now, and what was measured before that."""


def kept(config_map: str) -> Mapping[str, str]:
    """Return what the ConfigMap holds. Raises ApiError."""
    return in_cluster.request("GET", _path(config_map)).get("data") or {}


def write(config_map: str, result: Mapping[str, Any], previous: str = "") -> None:
    """Write a result, which has the uid of its Job as `job`, and beside it the one before if given. Raises ApiError."""
    data = {RESULT: json.dumps(result, ensure_ascii=False)}
    if previous:
        data[PREVIOUS] = previous
    in_cluster.request("PATCH", _path(config_map), {"data": data}, content_type="application/merge-patch+json")


def _path(config_map: str) -> str:
    return f"/api/v1/namespaces/{in_cluster.namespace()}/configmaps/{config_map}"
