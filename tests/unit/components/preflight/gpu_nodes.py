"""Nodes and pods of a cluster as the API server lists them, and what is said of them."""

from typing import Any

from components.preflight.gpu_nodes import node_warnings
from components.preflight.waiting_pods import WAITING
from planning.parse import parse
from tests.unit.components.stub_api import stub_api
from tests.unit.planning.stacks import raw

A100 = "NVIDIA-A100-SXM4-80GB"
ROOM = {"cpu": "96", "memory": "1Ti", "nvidia.com/gpu": "8", "ephemeral-storage": "400Gi"}
TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


def node(
    name: str,
    labels: dict[str, str] | None = None,
    room: dict[str, str] | None = None,
    taints: list[dict[str, str]] | None = None,
    *,
    ready: bool = True,
) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"nvidia.com/gpu.product": A100} | (labels or {})},
        "spec": {"taints": taints or []},
        "status": {
            "allocatable": ROOM | (room or {}),
            "conditions": [{"type": "Ready", "status": str(ready)}],
        },
    }


def pod(namespace: str, requests: dict[str, str], **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"namespace": namespace, "name": "p", "labels": labels},
        "spec": {"containers": [{"name": "c", "resources": {"requests": requests}}]},
    }


def told(
    nodes: list[dict[str, Any]] | int,
    pods: list[dict[str, Any]] | int = 0,
    waiting: list[dict[str, Any]] | int = 0,
    /,
    **sections: dict[str, Any],
) -> list[str]:
    """Return the warnings about a stack that is to run on these nodes, beside these pods and those that wait."""
    answers = {"/api/v1/nodes": nodes, "/api/v1/pods": pods or [], f"/api/v1/pods?{WAITING}": waiting or []}
    with stub_api(answers) as (api, _):
        return list(node_warnings(api, "deepseek", parse(raw(**sections))))


FOUR = [node(f"gpu-{number}") for number in range(4)]
