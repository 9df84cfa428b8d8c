"""What more nodes, more engines and more stacks cost: time and API calls of an `up` of the article's stack.

    python -m bench.scale [STACKS]

The real engine, provider, API server, controllers and KubeRay operator; the nodes are simulated, so the work of pods
takes no time. First the stack on 4, 16 and 32 nodes, then with 1, 2 and 8 engines of 4 nodes each, then the one of 4
nodes 20 times in one cluster, a namespace each, one after the other. Calls are those of the `up` and whatever else was
asked about its namespace meanwhile, as the audit log has them; objects are those that were made there, by the `up` and
by controllers. Prints tables and adds `scale` to bench/results.json. Took 7 minutes on two cores, and the
engines 6 more with other work beside.
"""

import itertools
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from pulumi import automation

from bench import api_calls, results
from local import stack
from local.cluster.simulated import RunningCluster, simulated_cluster

STACK = "a100-bf16"
NODES = (4, 16, 32)
ENGINES = (1, 2, 8)
STACKS = 20
SETTLE_SECONDS = 5
"""In which controllers still do what the `up` did not wait for."""


@dataclass(frozen=True)
class Figures:
    """What one `up` took."""

    seconds: float
    calls_of_up: int
    calls: int
    """Of the `up` and of everybody else."""
    objects: int


@dataclass(frozen=True)
class Cluster:
    """A simulated cluster with an audit log."""

    running: RunningCluster
    audit_log: Path
    folder: Path

    def stack(self, namespace: str, nodes: int, engines: int = 1) -> automation.Stack:
        """Return a stack in a namespace of its own."""
        manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        self.running.api_server.apply(f"/api/v1/namespaces/{namespace}", manifest)
        committed = stack.configuration(STACK)
        overrides = {
            "kubernetes:namespace": namespace,
            "deepseek:storage": committed["deepseek:storage"] | {"storageClass": "local"},
            "deepseek:hardware": committed["deepseek:hardware"] | {"nodes": nodes},
            "deepseek:serving": committed["deepseek:serving"] | {"engines": engines},
        }
        return stack.select(STACK, self.running.kubeconfig, overrides, self.folder / namespace)

    def up(self, namespace: str, nodes: int, engines: int = 1) -> Figures:
        """Bring a stack up; `nodes` is for each engine."""
        selected = self.stack(namespace, nodes, engines)
        start, began = self.audit_log.stat().st_size, time.monotonic()
        selected.up()
        seconds = time.monotonic() - began
        time.sleep(SETTLE_SECONDS)
        calls = api_calls.read(self.audit_log, start, end=self.audit_log.stat().st_size)
        figures = Figures(
            seconds=round(seconds, 1),
            calls_of_up=sum(call.by_up for call in calls),
            calls=sum(call.by_up or call.namespace == namespace for call in calls),
            objects=sum(call.made and call.namespace == namespace for call in calls),
        )
        print(f"{namespace}, {engines} engines of {nodes} nodes: {figures}", flush=True)
        return figures


@contextmanager
def cluster(nodes: int) -> Generator[Cluster]:
    """Have a cluster of so many nodes; what Python and Pulumi read from the disk once has been read."""
    with (
        tempfile.TemporaryDirectory() as folder,
        simulated_cluster(nodes=nodes, audit_log=Path(folder) / "audit.log") as running,
    ):
        measured = Cluster(running, Path(folder) / "audit.log", Path(folder))
        measured.stack("warm", NODES[0]).preview()
        yield measured


def measure(stacks: int) -> tuple[dict[int, Figures], dict[int, Figures], dict[int, Figures]]:
    """Return the figures by the number of nodes and of engines, and of the first, the middle and the last stack."""
    by_nodes: dict[int, Figures] = {}
    for nodes in NODES:
        with cluster(nodes) as measured:
            by_nodes[nodes] = measured.up("alone", nodes)
    by_engines: dict[int, Figures] = {}
    for engines in ENGINES:
        with cluster(NODES[0] * engines) as measured:
            by_engines[engines] = measured.up("engines", NODES[0], engines)
    with cluster(NODES[0] * stacks) as measured:
        ups = [measured.up(f"stack-{number + 1}", NODES[0]) for number in range(stacks)]
    return by_nodes, by_engines, {number: ups[number - 1] for number in (1, stacks // 2, stacks)}


def calls_per_added(figures: Mapping[int, Figures]) -> list[float]:
    """Return what each node or engine more costs in calls, from one size to the next; equal in linear growth."""
    pairs = itertools.pairwise(figures.items())
    return [round((more.calls - few.calls) / (many - number), 1) for (number, few), (many, more) in pairs]


def table(title: str, figures: Mapping[int, Figures]) -> str:
    """Return figures for people."""
    rows = [f"{title:16}" + "".join(f"{number:>9}" for number in figures)]
    for name in ("seconds", "calls_of_up", "calls", "objects"):
        values = "".join(f"{asdict(figure)[name]:>9}" for figure in figures.values())
        rows.append(f"{name.replace('_', ' '):16}{values}")
    return "\n".join(rows)


def main() -> None:
    """Measure, print tables, and add the figures to the results."""
    stacks = int(sys.argv[1]) if len(sys.argv) > 1 else STACKS
    by_nodes, by_engines, by_stack = measure(stacks)
    added, by_engine = calls_per_added(by_nodes), calls_per_added(by_engines)
    print("", table("nodes", by_nodes), f"calls per added node: {added}", sep="\n")
    print(
        "", table("engines", by_engines), f"calls per added engine: {by_engine}", "", table("stack", by_stack), sep="\n"
    )
    scale = {
        "nodes": {str(number): asdict(figures) for number, figures in by_nodes.items()},
        "stacks": {str(number): asdict(figures) for number, figures in by_stack.items()},
        "calls_per_added_node": added,
        "engines": {str(number): asdict(figures) for number, figures in by_engines.items()},
        "calls_per_added_engine": by_engine,
        "stacks_calls_ratio": round(by_stack[stacks].calls / by_stack[1].calls, 2),
        "stacks_seconds_ratio": round(by_stack[stacks].seconds / by_stack[1].seconds, 2),
    }
    results.add({"scale": scale})


if __name__ == "__main__":
    main()
