"""Whether the Ray nodes that the plan counts on are there, and if not, which are missing and why."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from direct_http import NoAnswer
from failure_history import Failed
from planned_nodes import PlannedNodes
from ray_api import Node, RayApi
from supervisor_log import say

POLL_SECONDS = 2.0
REPORT_SECONDS = 15.0


@dataclass(frozen=True)
class Joined:
    """How far the nodes are.

    `nodes` have all their GPUs, `gpus` counts those of all nodes; `missing` keeps vLLM from starting, `differences`
    does not: both are text, empty when there is nothing to say.
    """

    nodes: int
    gpus: int
    missing: str
    differences: str = ""


def wait_for_nodes(ray: RayApi, planned: PlannedNodes, timeout: float) -> None:
    """Return when the planned nodes have joined; say every 15 s how many; raise `Failed` after `timeout` seconds."""
    began = time.monotonic()
    reported = -REPORT_SECONDS
    while (joined := look(ray, planned)).missing:
        waited = time.monotonic() - began
        if waited > timeout:
            raise Failed("nodes", f"{joined.missing}, after {waited:.0f} s")
        if waited - reported >= REPORT_SECONDS:
            reported = waited
            say("waiting", **_counts(joined, planned), after=int(waited), missing=joined.missing)
        time.sleep(POLL_SECONDS)
    say("joined", **_counts(joined, planned), after=int(time.monotonic() - began))
    if joined.differences:
        say("gpus_differ", reason=joined.differences)


def look(ray: RayApi, planned: PlannedNodes) -> Joined:
    """Ask the Ray head which nodes it has; a head that does not answer has none."""
    try:
        return compare(ray.nodes(), planned)
    except NoAnswer as error:
        return Joined(0, 0, f"the Ray head at {ray.address} does not answer: {error}")


def compare(nodes: Sequence[Node], planned: PlannedNodes) -> Joined:
    """Compare the nodes that Ray has with the plan."""
    complete = [node for node in nodes if node.gpus >= planned.gpus_per_node]
    absent = planned.count - len(nodes)
    missing = [f"{absent} of {planned.count} Ray nodes have not joined"] if absent > 0 else []
    missing += [
        f"Ray node {node.address} has {node.gpus} of {planned.gpus_per_node} GPUs"
        for node in nodes
        if node not in complete
    ]
    return Joined(
        nodes=len(complete),
        gpus=sum(node.gpus for node in nodes),
        missing="; ".join(missing) if len(complete) < planned.count else "",
        differences="; ".join(text for node in nodes if (text := _difference(node, planned))),
    )


def _difference(node: Node, planned: PlannedNodes) -> str:
    if node.gpus > planned.gpus_per_node:
        return f"Ray node {node.address} has {node.gpus} GPUs, planned are {planned.gpus_per_node}"
    has_product = node.accelerator.split("-")[0].upper() in planned.product.upper()  # Ray says A100 or A100-80G
    if node.accelerator and planned.product and not has_product:
        return f"Ray node {node.address} has {node.accelerator} GPUs, planned is {planned.product}"
    return ""


def _counts(joined: Joined, planned: PlannedNodes) -> dict[str, str]:
    return {"nodes": f"{joined.nodes}/{planned.count}", "gpus": f"{joined.gpus}/{planned.gpus}"}
