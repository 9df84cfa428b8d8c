"""What all nodes found out, as one result: figures with the slowest named, the transports, and what is wrong.

Bandwidths are in GB/s (10^9 bytes a second): of collectives that of a bus, of a pair of nodes all its ranks together,
in one direction while the other is as busy.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from nccl_log import INFINIBAND, SOCKETS
from node_proof import STOOD_STILL
from proof_layout import Layout

SLOW = 0.8
"""Of the median of its peers: below this a GPU is told. Equal GPUs differ by a few percent."""

Found = Mapping[str, Any]
Measured = tuple[int, Found]
"""A rank, and one of its figures."""


def report(layout: Layout, nodes: Sequence[Found | str], seconds: float) -> dict[str, Any]:
    """Return the result. A node that gave nothing is the text that says why; `seconds` is what all of it took."""
    answered = [node for node in nodes if not isinstance(node, str)]
    names = [f"node {i}" if isinstance(node, str) else str(node["name"]) for i, node in enumerate(nodes)]
    figures = [
        (int(rank), figure) for node in answered for rank, found in node["ranks"].items() for figure in found["figures"]
    ]
    result: dict[str, Any] = {
        "measuredAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(seconds, 1),
        "ranks": layout.world,
        **_transports(answered),
        **_collectives(layout, figures, names),
        **_pairs(layout, figures, names),
        **_processors(figures),
        "findings": [*_of_processors(layout, figures, names), *_of_nodes(answered)],
        "without": _without_rdma(layout, answered),
    }
    if problem := _problem(layout, nodes, names):
        result["problem"] = problem
    result["summary"] = summary(result)
    return {name: value for name, value in result.items() if value not in ([], "")}


def summary(result: Found) -> str:
    """Return the result in one line, nothing where nothing was measured."""
    parts: list[str] = []
    if reduced := result.get("allReduce"):
        way = f" over {result['inNode']}" if "inNode" in result else ""
        parts.append(f"all-reduce of {reduced['ranks']} ranks {reduced['gigabytesPerSecond']:g} GB/s{way}")
    for name, text in (("stages", "between stages"), ("nodes", "between nodes")):
        if found := result.get(name):
            way = f" over {result['betweenNodes']}" if name == "nodes" and "betweenNodes" in result else ""
            parts.append(f"{text} {found['gigabytesPerSecond']:g} GB/s{way}, slowest {found['slowest']}")
    return f"{'; '.join(parts)} (proven in {result['seconds']:.0f} s)" if parts else ""


def _transports(nodes: Iterable[Found]) -> dict[str, str]:
    """Return the ways within nodes and between them; several where nodes differ."""
    found: dict[str, str] = {}
    for name, key in (("inNode", "in_node"), ("betweenNodes", "between_nodes")):
        if taken := sorted({node["ways"][key] for node in nodes if node["ways"][key]}):
            found[name] = ", ".join(taken)
    return found


def _collectives(layout: Layout, figures: Sequence[Measured], names: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, figure in (("allReduce", "all-reduce"), ("allGather", "all-gather"), ("reduceScatter", "reduce-scatter")):
        if measured := _of(figures, figure):
            rank, slowest = min(measured, key=lambda one: one[1]["gigabytes"])
            found[name] = {
                "ranks": layout.tensor_parallel_size,
                "gigabytesPerSecond": short(slowest["gigabytes"]),
                "slowest": names[layout.node_of(rank)],
            }
    if "allReduce" in found and (tokens := _of(figures, "all-reduce of one token")):
        found["allReduce"]["microsecondsOfOneToken"] = short(max(figure["microseconds"] for _, figure in tokens))
    return found


def _pairs(layout: Layout, figures: Sequence[Measured], names: Sequence[str]) -> dict[str, Any]:
    """Return what goes between stages and between nodes; the ranks of a pair of nodes add up."""
    found: dict[str, Any] = {}
    for figure in ("stages", "nodes"):
        links: dict[tuple[int, int], dict[int, float]] = defaultdict(dict)
        for rank, one in _of(figures, figure):
            a, b = (layout.node_of(member) for member in one["ranks"])
            links[a, b][rank] = one["gigabytes"]
        # Both ends of a pair of ranks measured it.
        speeds = {pair: sum(of.values()) / 2 for pair, of in links.items()}
        if not speeds:
            continue
        a, b = min(speeds, key=lambda pair: speeds[pair])
        found[figure] = {
            "gigabytesPerSecond": short(speeds[a, b]),
            "slowest": f"{names[a]} - {names[b]}" if a != b else names[a],
        }
        if figure == "nodes":
            found[figure]["pairs"] = {f"{names[a]} - {names[b]}": short(speed) for (a, b), speed in speeds.items()}
    return found


def _processors(figures: Sequence[Measured]) -> dict[str, Any]:
    """Return the least and the median of what the GPUs, or on CPUs the ranks, reach."""
    names = {"teraflops": "processor", "memory": "processor", "gigabytes": "from host"}
    shown = {"teraflops": "teraflops", "memory": "memoryGigabytesPerSecond", "gigabytes": "fromHostGigabytesPerSecond"}
    found: dict[str, Any] = {}
    for quantity, figure in names.items():
        if values := [one[quantity] for _, one in _of(figures, figure)]:
            found[shown[quantity]] = {"least": short(min(values)), "median": short(median(values))}
    return {"processors": found} if found else {}


def _of_processors(layout: Layout, figures: Sequence[Measured], names: Sequence[str]) -> Iterable[str]:
    kind = "GPU" if layout.on_gpus else "rank"
    for rank, one in figures:
        if one.get("right") is False:
            what = "sums wrongly" if one["figure"] == "sum" else "multiplies or copies wrongly"
            yield f"{_place(layout, rank, names, kind)} {what}: do not use it"
    if not layout.on_gpus:
        return  # ranks on CPUs share cores, so that they differ anyway
    for quantity, figure, text, unit in (
        ("teraflops", "processor", "multiplies with", "TFLOP/s"),
        ("memory", "processor", "copies in its memory with", "GB/s"),
        ("gigabytes", "from host", "takes from the host", "GB/s"),
    ):
        measured = [(rank, one[quantity]) for rank, one in _of(figures, figure)]
        usual = median(value for _, value in measured) if measured else 0
        for rank, value in measured:
            if value < SLOW * usual:
                where = _place(layout, rank, names, kind)
                yield f"{where} {text} {short(value):g} {unit}, half of all with {short(usual):g} or more"


def _of_nodes(nodes: Iterable[Found]) -> Iterable[str]:
    for node in nodes:
        for gpu, errors in enumerate(node["uncorrectedErrors"]):
            if errors:
                yield f"GPU {gpu} of {node['name']} has {errors} ECC errors that were not corrected"
        if node["ways"]["network"] == INFINIBAND and not node["ways"]["direct"]:
            yield f"{node['name']} uses InfiniBand without GPUDirect: every byte goes through the host's memory"


def _without_rdma(layout: Layout, nodes: Sequence[Found]) -> list[str]:
    """Return what keeps the nodes that send over sockets from RDMA, as far as they can tell."""
    found: list[str] = []
    for node in nodes:
        taken = node["ways"]
        if layout.nodes == 1 or taken["network"] != SOCKETS:
            continue
        told = [f"{name}={value}" for name, value in taken["variables"].items() if name in RDMA_VARIABLES]
        causes = [f"{', '.join(told)} is set"] if told else []
        if not node["infiniband"]:
            causes.append("the pod has no device /dev/infiniband/uverbs*")
        elif taken["without_device"]:
            causes.append(f"NCCL finds no device, though there is {', '.join(node['infiniband'])}")
        if taken["without_library"]:
            causes.append("the image has no libibverbs.so.1")
        if node["memlock"] is not None:
            causes.append(f"`ulimit -l` is {node['memlock'] // 1024} KiB")
        found.append(
            f"{node['name']} sends over {taken['between_nodes']}: {'; '.join(causes) or 'NCCL does not tell why'}"
        )
    return found


RDMA_VARIABLES = ("NCCL_IB_DISABLE", "NCCL_NET", "NCCL_IB_HCA", "NCCL_NET_PLUGIN")


def _problem(layout: Layout, nodes: Sequence[Found | str], names: Sequence[str]) -> str:
    """Return why something was not measured, nothing where all was."""
    said = [f"{names[i]}: {node}" for i, node in enumerate(nodes) if isinstance(node, str)]
    for node in nodes:
        if isinstance(node, str):
            continue
        for rank, found in node["ranks"].items():
            if "end" in found:
                where = _place(layout, int(rank), names, "rank")
                said.append(f"{where} ended in the step '{found['step']}': {found['end']}")
    said.sort(key=lambda text: text.endswith(STOOD_STILL))  # who waits for a dead peer tells less
    more = f"; and {len(said) - 2} more" if len(said) > 2 else ""
    return "; ".join(said[:2]) + more


def _place(layout: Layout, rank: int, names: Sequence[str], kind: str) -> str:
    return f"{kind} {rank % layout.ranks_per_node} of {names[layout.node_of(rank)]}"


def _of(figures: Iterable[Measured], name: str) -> list[Measured]:
    return [(rank, figure) for rank, figure in figures if figure["figure"] == name]


def short(number: float) -> float:
    """Three significant digits: more are not known."""
    return float(f"{number:.3g}")
