"""What all nodes found out, as one result."""

from typing import Any

import pytest
from nccl_log import Ways
from proof_layout import Layout
from proof_report import report

ARTICLE = Layout(nodes=2, ranks_per_node=2, tensor_parallel_size=2, pipeline_parallel_size=2)
SOUND = {"figure": "processor", "teraflops": 600.0, "memory": 3000.0, "right": True}


def ways(**other: Any) -> dict[str, Any]:
    usual = Ways("NVLink", "InfiniBand with GPUDirect (mlx5_0)", "InfiniBand", True, False, False, {})  # noqa: FBT003
    return vars(usual) | other


def rank(*figures: dict[str, Any], **other: Any) -> dict[str, Any]:
    return {"figures": [SOUND, *figures], **other}


def node(name: str, ranks: dict[str, Any], **other: Any) -> dict[str, Any]:
    machine = {"memlock": None, "infiniband": ["uverbs0"], "uncorrectedErrors": [0, 0]}
    return {"name": name, "address": "10.0.0.1", "ranks": ranks, "ways": ways(), **machine, **other}


def reduce(gigabytes: float) -> dict[str, Any]:
    return {"figure": "all-reduce", "gigabytes": gigabytes}


def sent(a: int, b: int, gigabytes: float, figure: str = "nodes") -> dict[str, Any]:
    return {"figure": figure, "ranks": [a, b], "gigabytes": gigabytes}


def two_nodes(**second: Any) -> list[Any]:
    """Two nodes whose two pairs of ranks send 24 and 25 GB/s to each other."""
    first = node("head", {"0": rank(reduce(310), sent(0, 2, 24)), "1": rank(reduce(305), sent(1, 3, 25))})
    ranks = {"2": rank(reduce(150), sent(0, 2, 24)), "3": rank(reduce(151), sent(1, 3, 25))}
    return [first, node("worker", ranks) | second]


def test_the_slowest_is_named_and_ranks_of_a_pair_of_nodes_add_up() -> None:
    found = report(ARTICLE, two_nodes(), 12.34)
    assert found["allReduce"] == {"ranks": 2, "gigabytesPerSecond": 150.0, "slowest": "worker"}
    assert found["nodes"] == {
        "gigabytesPerSecond": 49.0,
        "slowest": "head - worker",
        "pairs": {"head - worker": 49.0},
    }
    assert (found["inNode"], found["betweenNodes"]) == ("NVLink", "InfiniBand with GPUDirect (mlx5_0)")
    assert found["summary"] == (
        "all-reduce of 2 ranks 150 GB/s over NVLink; between nodes 49 GB/s over InfiniBand with GPUDirect (mlx5_0), "
        "slowest head - worker (proven in 12 s)"
    )
    assert "findings" not in found
    assert "problem" not in found
    assert "without" not in found


def test_the_slowest_of_many_pairs_is_named() -> None:
    layout = Layout(nodes=3, ranks_per_node=1, tensor_parallel_size=1, pipeline_parallel_size=3)
    ranks = [
        rank(sent(0, 1, 40), sent(0, 2, 40)),
        rank(sent(0, 1, 40), sent(1, 2, 9)),
        rank(sent(0, 2, 40), sent(1, 2, 9)),
    ]
    found = report(layout, [node(name, {str(i): ranks[i]}) for i, name in enumerate(("a", "b", "c"))], 1)
    assert found["nodes"]["slowest"] == "b - c"
    assert found["nodes"]["pairs"] == {"a - b": 40.0, "a - c": 40.0, "b - c": 9.0}


def test_stages_within_a_node_are_named_by_it() -> None:
    layout = Layout(nodes=1, ranks_per_node=2, tensor_parallel_size=1, pipeline_parallel_size=2)
    ranks = {str(i): rank(sent(0, 1, 200, "stages")) for i in range(2)}
    assert report(layout, [node("head", ranks)], 1)["stages"] == {"gigabytesPerSecond": 200.0, "slowest": "head"}


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (SOUND | {"teraflops": 300.0}, "multiplies with 300 TFLOP/s, half of all with 600 or more"),
        (SOUND | {"memory": 1000.0}, "copies in its memory with 1000 GB/s, half of all with 3000 or more"),
        (SOUND | {"right": False}, "multiplies or copies wrongly: do not use it"),
    ],
)
def test_a_sick_gpu_is_told_beside_its_peers(figure: dict[str, Any], text: str) -> None:
    nodes = two_nodes()
    nodes[1]["ranks"]["3"]["figures"][0] = figure
    assert report(ARTICLE, nodes, 1)["findings"] == [f"GPU 1 of worker {text}"]


def test_gpus_that_differ_by_a_little_are_equal() -> None:
    nodes = two_nodes()
    nodes[1]["ranks"]["3"]["figures"][0] = SOUND | {"teraflops": 520.0}
    assert "findings" not in report(ARTICLE, nodes, 1)


def test_errors_of_memory_and_detours_through_the_host_are_told() -> None:
    found = report(ARTICLE, two_nodes(uncorrectedErrors=[0, 2], ways=ways(direct=False)), 1)
    assert found["findings"] == [
        "GPU 1 of worker has 2 ECC errors that were not corrected",
        "worker uses InfiniBand without GPUDirect: every byte goes through the host's memory",
    ]


SOCKETS = ways(network="sockets", between_nodes="sockets on eth0", direct=False)


@pytest.mark.parametrize(
    ("worker", "cause"),
    [
        ({"infiniband": []}, "the pod has no device /dev/infiniband/uverbs*"),
        ({"ways": SOCKETS | {"without_device": True}}, "NCCL finds no device, though there is uverbs0"),
        ({"ways": SOCKETS | {"variables": {"NCCL_IB_DISABLE": "1", "NCCL_ALGO": "Ring"}}}, "NCCL_IB_DISABLE=1 is set"),
        ({"ways": SOCKETS | {"without_library": True}}, "the image has no libibverbs.so.1"),
        ({"memlock": 8 << 20}, "`ulimit -l` is 8192 KiB"),
        ({}, "NCCL does not tell why"),
    ],
)
def test_what_is_missing_for_rdma_is_named(worker: dict[str, Any], cause: str) -> None:
    found = report(ARTICLE, two_nodes(**{"ways": SOCKETS, **worker}), 1)
    assert found["without"] == [f"worker sends over sockets on eth0: {cause}"]


def test_sockets_within_one_node_are_no_matter_of_rdma() -> None:
    layout = Layout(nodes=1, ranks_per_node=1, tensor_parallel_size=1, pipeline_parallel_size=1)
    assert "without" not in report(layout, [node("head", {"0": rank()}, ways=SOCKETS)], 1)


def test_a_rank_that_ended_and_a_node_that_is_gone_are_told_with_what_was_measured() -> None:
    nodes = two_nodes()
    nodes[0]["ranks"]["1"] |= {"step": "nodes, round 1", "end": "DistBackendError: timeout"}
    found = report(ARTICLE, [nodes[0], "WorkerCrashedError: the worker died"], 1)
    assert found["problem"] == (
        "node 1: WorkerCrashedError: the worker died; "
        "rank 1 of head ended in the step 'nodes, round 1': DistBackendError: timeout"
    )
    assert found["allReduce"]["gigabytesPerSecond"] == 305.0


def test_the_rank_that_died_is_named_before_those_that_waited_for_it() -> None:
    nodes = two_nodes()
    for waiting in ("0", "1"):
        nodes[0]["ranks"][waiting] |= {"step": "all-reduce", "end": "it stood still"}
    nodes[1]["ranks"]["3"] |= {"step": "all-reduce", "end": "exit code -9"}
    assert report(ARTICLE, nodes, 1)["problem"].startswith("rank 1 of worker ended in the step 'all-reduce': exit")


def test_on_cpus_ranks_that_share_cores_are_not_compared() -> None:
    nodes = two_nodes()
    nodes[1]["ranks"]["3"]["figures"][0] = SOUND | {"teraflops": 1.0}
    layout = Layout(**{**vars(ARTICLE), "on_gpus": False})
    assert "findings" not in report(layout, nodes, 1)
