"""Run the network proof on this machine's GPUs: `python -m bench.gpu.network`, without Ray, Kubernetes and vLLM.

The programs are those of images/ray-vllm/programs/proof. It plays three clusters, one after another: all GPUs as one
node and one stage; each GPU as a node of its own, with P2P between them; the same over sockets, as between nodes
without RDMA. It prints each result, and the lines of NCCL on which it rests, as one JSON object.
"""

import argparse
import json
import os
import re
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.gpu import machine
from bench.gpu.server import MULTICAST_OFF, free_port

PROGRAMS = Path(__file__).parents[2] / "images/ray-vllm/programs/proof"
sys.path.insert(0, str(PROGRAMS))

from node_proof import Task, run_in  # noqa: E402
from proof_layout import Layout  # noqa: E402
from proof_report import report  # noqa: E402

OVER_SOCKETS = {"NCCL_P2P_DISABLE": "1", "NCCL_SHM_DISABLE": "1", "NCCL_NET": "Socket"}
TELLING = re.compile(r" via |NET/|set by environment|NCCL version| NVL\[|Using network|NET plugin")
MOST_LINES = 80


def main() -> None:
    """Play the clusters and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu.network", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="bound of each proof")
    parser.add_argument("--cpus", type=int, default=0, help="so many ranks over Gloo, in place of the GPUs")
    options = parser.parse_args()
    names = [] if options.cpus else [f"{gpu['name']}, {gpu['driver']}" for gpu in machine.gpus()]
    gpus = options.cpus or len(names)
    one = Layout(
        nodes=1,
        ranks_per_node=gpus,
        tensor_parallel_size=gpus,
        pipeline_parallel_size=1,
        expert_parallel=True,
        on_gpus=not options.cpus,
    )
    each = replace(one, nodes=gpus, ranks_per_node=1, tensor_parallel_size=1, pipeline_parallel_size=gpus)
    clusters: dict[str, tuple[Layout, dict[str, str]]] = {
        "one node": (one, {}),
        "a node each": (each, {}),
        "a node each, over sockets": (each, OVER_SOCKETS),
    }
    found = {name: prove(layout, variables, options.seconds) for name, (layout, variables) in clusters.items()}
    print(json.dumps({"gpus": names, **found}, indent=1))


def prove(layout: Layout, variables: dict[str, str], seconds: float) -> dict[str, Any]:
    """Return the result of one cluster, what each node told, and the lines that rank 0's NCCL wrote."""
    port, began = free_port(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(layout.nodes) as pool:

        def node(number: int) -> dict[str, Any]:
            own = Path(folder) / str(number)
            own.mkdir()
            first = number * layout.ranks_per_node
            devices = {} if layout.nodes == 1 else {"CUDA_VISIBLE_DEVICES": str(number)}
            task = Task(layout=layout, first_rank=first, host="127.0.0.1", port=port, seconds=seconds)
            told = run_in(own, task, {**os.environ, **MULTICAST_OFF, **variables, **devices})
            return {**told, "name": f"node-{number}"}

        nodes = list(pool.map(node, range(layout.nodes)))
        log = Path(folder) / "0/nccl-0"
        lines = [line for line in log.read_text().splitlines() if TELLING.search(line)] if log.exists() else []
    return {"result": report(layout, nodes, time.monotonic() - began), "nodes": nodes, "nccl": lines[:MOST_LINES]}


if __name__ == "__main__":
    main()
