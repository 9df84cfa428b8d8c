"""Measures the network and the GPUs of a Ray cluster between the very pods that will serve, and prints the result.

It is the entry point of a Ray job: it runs node_proof.py on every planned Ray node, as a task that takes all GPUs of
that node, and prints one line, RESULT and then JSON (proof_report.py). It ends within SECONDS and 25 more, whatever
happens to a rank or a node, and then holds no GPU.

Environment: LAYOUT (proof_layout.Layout by its fields, JSON), VLLM_HOST_IP, SECONDS.
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false
# Only the serving image has Ray.

import json
import os
import socket
import time
from collections.abc import Mapping
from typing import Any

import node_proof
import ray
from proof_layout import Layout
from proof_report import report
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

RESULT = "network-proof: "
MARGIN_SECONDS = 20.0
"""For Ray to start a worker on each node, and for ranks that have to be killed."""


def prove(layout: Layout, host: str, seconds: float) -> dict[str, Any]:
    """Return the result of all nodes; whatever fails on one is in it."""
    began = time.monotonic()
    nodes = _nodes(layout)
    port = _free_port()
    tasks = [
        ray.remote(node_proof.run)
        .options(
            num_gpus=layout.ranks_per_node,
            num_cpus=0,
            max_retries=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
        )
        .remote(
            node_proof.Task(
                layout=layout, first_rank=number * layout.ranks_per_node, host=host, port=port, seconds=seconds
            )
        )
        for number, node in enumerate(nodes)
    ]
    ray.wait(tasks, num_returns=len(tasks), timeout=seconds + MARGIN_SECONDS)
    return report(layout, [_outcome(task) for task in tasks], time.monotonic() - began)


def _nodes(layout: Layout) -> list[Mapping[str, Any]]:
    """Return the nodes with enough GPUs, this one first, as vLLM counts them (0.32, `ray_executor_v2.py`)."""
    here = ray.get_runtime_context().get_node_id()
    fitting = [n for n in ray.nodes() if n["Alive"] and n["Resources"].get("GPU", 0) >= layout.ranks_per_node]
    return sorted(fitting, key=lambda node: (node["NodeID"] != here, node["NodeManagerAddress"]))[: layout.nodes]


def _outcome(task: Any) -> dict[str, Any] | str:  # noqa: ANN401  Ray's references have no type
    try:
        return ray.get(task, timeout=0)
    except Exception as error:  # noqa: BLE001  whatever Ray raises is the result
        return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _free_port() -> int:
    """Return a port of this node that nobody listens on: rank 0, which is here, will."""
    with socket.socket() as listener:
        listener.bind(("", 0))
        return listener.getsockname()[1]


def main() -> None:
    """Measure and print."""
    layout = Layout.read(os.environ["LAYOUT"])
    ray.init(address="auto", logging_level="error", log_to_driver=False)
    result = prove(layout, os.environ["VLLM_HOST_IP"], float(os.environ["SECONDS"]))
    print(RESULT + json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
