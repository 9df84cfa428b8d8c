"""Runs where the CPU image is: two processes on loopback that gather and scatter uneven rows; prints what each got.

JSON: by rank, by case, the rows.
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false
# Only the serving image has torch and vLLM.

import json
import multiprocessing
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from cpu_between_pods import CpuBetweenPods
from torch import distributed

RANKS = 2
SIZES = [1, 3]
COLUMNS = 2


def rows(rank: int, count: int) -> torch.Tensor:
    """Return rows that tell their rank and place: rank 1's second is 110, 111."""
    return 100 * rank + 10 * torch.arange(count)[:, None] + torch.arange(COLUMNS)


def measured(rank: int) -> dict[str, Any]:
    """Return what a rank got, by case."""
    group = distributed.group.WORLD
    between = CpuBetweenPods(group, device_group=group, unique_name="dp:0")
    mine, whole = rows(rank, SIZES[rank]), rows(rank, sum(SIZES))
    kept = whole.clone()
    gathered = between.all_gatherv([mine, mine.to(torch.bfloat16)], dim=0, sizes=SIZES)
    found = {
        "gathered": gathered[0],
        "gathered as bfloat16": gathered[1].float(),
        "gathered evenly": between.all_gatherv(rows(rank, 2)),
        "gathered columns": between.all_gatherv(mine.T, dim=1, sizes=SIZES).T,
        "gathered of rank 1 alone": between.all_gatherv(rows(rank, 2 * rank), sizes=[0, 2]),
        "scattered": between.reduce_scatterv(whole, dim=0, sizes=SIZES),
        "scattered evenly": between.reduce_scatterv(whole, dim=0),
        "scattered columns": between.reduce_scatterv(whole.T, sizes=SIZES).T,
    }
    assert whole.equal(kept), "the input is the caller's"
    return {case: tensor.int().tolist() for case, tensor in found.items()}


def rank_process(rank: int, folder: str) -> None:
    """Be one rank."""
    store = distributed.FileStore(f"{folder}/store", RANKS)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=RANKS)
    Path(folder, str(rank)).write_text(json.dumps(measured(rank)))
    distributed.destroy_process_group()


def main() -> None:
    """Start the ranks and print what they found."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    fork = multiprocessing.get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        ranks = [fork.Process(target=rank_process, args=(rank, folder)) for rank in range(RANKS)]
        for process in ranks:
            process.start()
        for process in ranks:
            process.join(120)
        if any(process.exitcode for process in ranks):
            sys.exit("a rank failed")
        print(json.dumps([json.loads(Path(folder, str(rank)).read_text()) for rank in range(RANKS)]))  # noqa: T201


if __name__ == "__main__":
    main()
