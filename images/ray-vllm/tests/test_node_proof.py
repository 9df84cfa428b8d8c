"""What a node tells of its ranks, which are real processes: those that end well, die, hang, and write half a line."""

import json
import os
import textwrap
import time
from pathlib import Path
from typing import Any

import node_proof
import pytest
from node_proof import Task, run_in
from proof_layout import Layout

LAYOUT = Layout(nodes=2, ranks_per_node=2, tensor_parallel_size=2, pipeline_parallel_size=2)
RANK = """
    import json, os, signal, sys, time
    figures = open(os.environ["FIGURES"], "a", buffering=1)
    def add(**line): figures.write(json.dumps(line) + "\\n")
    add(step="all-reduce")
    add(figure="all-reduce", gigabytes=1.5)
    behaviour = json.loads(os.environ["BEHAVIOUR"]).get(os.environ["RANK"])
    if behaviour == "dies": os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "hangs": time.sleep(60)
    if behaviour == "says": print("Fatal Python error: nothing works"); sys.exit(1)
    if behaviour == "late": print("Timeout (0:01:00)!\\nThread 1 in join"); sys.exit(1)
    if behaviour == "fails": add(failed="DistBackendError: peer is gone"); sys.exit(1)
    if behaviour == "half": figures.write('{"figure": "nod'); sys.exit(1)
    add(figure="environment", **{name: os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "NCCL_DEBUG")})
    add(step="")
"""


@pytest.fixture(autouse=True)
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "rank_measure.py").write_text(textwrap.dedent(RANK))
    monkeypatch.setattr(node_proof, "PROGRAMS", folder)
    monkeypatch.setattr(node_proof, "GRACE_SECONDS", 2.0)


def run(tmp_path: Path, seconds: float = 20, devices: str = "", **behaviour: str) -> dict[str, Any]:
    folder = tmp_path / "node"
    folder.mkdir()
    task = Task(layout=LAYOUT, first_rank=2, host="127.0.0.1", port=1, seconds=seconds)
    by_rank = {name.removeprefix("rank_"): how for name, how in behaviour.items()}
    variables = {"BEHAVIOUR": json.dumps(by_rank), "CUDA_VISIBLE_DEVICES": devices}
    return run_in(folder, task, {**os.environ, **variables})


def test_ranks_that_end_well_have_their_figures_and_nothing_else(tmp_path: Path) -> None:
    found = run(tmp_path)
    assert found["ranks"].keys() == {"2", "3"}
    assert found["ranks"]["2"].keys() == {"figures"}
    assert found["ranks"]["2"]["figures"][0] == {"figure": "all-reduce", "gigabytes": 1.5}


@pytest.mark.parametrize(
    ("devices", "given"), [("", ["0", "1"]), ("4,6", ["4", "6"]), ("GPU-a,GPU-b", ["GPU-a", "GPU-b"])]
)
def test_each_rank_sees_one_of_the_gpus_that_ray_gave(tmp_path: Path, devices: str, given: list[str]) -> None:
    ranks = run(tmp_path, devices=devices)["ranks"]
    assert [ranks[rank]["figures"][1]["CUDA_VISIBLE_DEVICES"] for rank in ("2", "3")] == given
    assert ranks["2"]["figures"][1]["NCCL_DEBUG"] == "INFO"


@pytest.mark.parametrize(
    ("behaviour", "end"),
    [
        ("dies", "exit code -9"),
        ("fails", "DistBackendError: peer is gone"),
        ("says", "Fatal Python error: nothing works"),
        ("half", "exit code 1"),
        ("late", "it stood still"),
    ],
)
def test_a_rank_that_ends_badly_says_where_and_what_it_had_measured(tmp_path: Path, behaviour: str, end: str) -> None:
    ranks = run(tmp_path, rank_3=behaviour)["ranks"]
    assert ranks["3"] == {
        "figures": [{"figure": "all-reduce", "gigabytes": 1.5}],
        "step": "all-reduce",
        "end": end,
    }
    assert "end" not in ranks["2"]


def test_a_rank_that_hangs_is_ended(tmp_path: Path) -> None:
    began = time.monotonic()
    ranks = run(tmp_path, seconds=1, rank_2="hangs")["ranks"]
    assert time.monotonic() - began < 20
    assert (ranks["2"]["step"], ranks["2"]["end"]) == ("all-reduce", "it stood still")


def test_the_peers_of_a_rank_that_has_died_do_not_wait_for_it_long(tmp_path: Path) -> None:
    began = time.monotonic()
    ranks = run(tmp_path, seconds=60, rank_2="hangs", rank_3="fails")["ranks"]
    assert time.monotonic() - began < 20
    assert ranks["2"]["end"] == "it stood still"
    assert ranks["3"]["end"] == "DistBackendError: peer is gone"


def test_what_nccl_wrote_and_what_the_machine_has_is_told(tmp_path: Path) -> None:
    found = run(tmp_path)
    assert found["ways"]["in_node"] is None
    assert found["name"]
    assert isinstance(found["infiniband"], list)
    assert found["uncorrectedErrors"] == []
