"""One rank: checks its GPU, and measures with the other ranks what a layout will use. It ends by itself in any case.

Each figure is a line of JSON in FIGURES as soon as it is known, and so is each step before it begins: whoever reads the
file after a hang knows what was measured, and in which step it stood still.

Environment: RANK, LAYOUT (proof_layout.Layout by its fields, JSON), MASTER_HOST, MASTER_PORT, SECONDS (until it ends
itself), FIGURES (a file), and on GPUs CUDA_VISIBLE_DEVICES, with one device.
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false, reportUnknownLambdaType=false
# Only the serving image has torch.

import faulthandler
import json
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import torch
from processor_check import GB, MiB, check, per_run
from proof_layout import Layout, Pair, node_rounds, peer_in, stage_rounds
from torch import distributed

REPEATS = 3
BUDGET_SECONDS = 0.5
"""For the repeats of one measurement: on a slow network fewer bytes are sent."""

LATENCY_BYTES, LATENCY_REPEATS = 16 * 1024, 50
"""What one token's activations are (7168 values of BF16), which each layer reduces twice."""


class Figures:
    """The file of this rank's figures."""

    def __init__(self, file: Path) -> None:
        self._file = file.open("a")

    def add(self, **figure: object) -> None:
        """Write one line."""
        self._file.write(json.dumps(figure) + "\n")
        self._file.flush()


class Rank:
    """This process among the others. Every rank takes part in every step, so that all agree on how much is sent."""

    def __init__(self, rank: int, layout: Layout, figures: Figures) -> None:
        self._rank, self._layout, self._figures = rank, layout, figures
        self._device = torch.device("cuda", 0) if layout.on_gpus else torch.device("cpu")
        self._small, self._large = (MiB, 64 * MiB) if layout.on_gpus else (64 * 1024, 4 * MiB)

    def check_processor(self) -> None:
        """Write how fast this rank's GPU multiplies and copies, while those of its node do the same."""
        self._step("check of the GPU" if self._layout.on_gpus else "check of the CPU")
        for figure in check(self._device):
            self._figures.add(**figure)
        if self._layout.on_gpus:
            torch.cuda.empty_cache()

    def join(self, host: str, port: int, seconds: float) -> None:
        """Meet the other ranks; on GPUs NCCL connects them."""
        self._step("meeting the other ranks")
        bound = timedelta(seconds=seconds)
        store = distributed.TCPStore(host, port, self._layout.world, is_master=self._rank == 0, timeout=bound)
        distributed.init_process_group(
            "nccl" if self._layout.on_gpus else "gloo",
            store=store,
            rank=self._rank,
            world_size=self._layout.world,
            timeout=bound,
            device_id=self._device if self._layout.on_gpus else None,
        )
        distributed.all_reduce(torch.ones(1, device=self._device))

    def measure(self) -> None:
        """Write what the layout uses: collectives within a stage, sends between stages, every pair of nodes."""
        layout = self._layout
        if layout.tensor_parallel_size > 1:
            groups = [distributed.new_group(ranks) for ranks in layout.stages]
            mine = next((i for i, ranks in enumerate(layout.stages) if self._rank in ranks), None)
            self._collectives(None if mine is None else groups[mine])
        for number, pairs in enumerate(stage_rounds(layout)):
            self._exchange("stages", number, pairs)
        for number, pairs in enumerate(node_rounds(layout)):
            self._exchange("nodes", number, pairs)

    def _collectives(self, group: distributed.ProcessGroup | None) -> None:
        size = self._layout.tensor_parallel_size
        share = (size - 1) / size

        def reduce(tensor: torch.Tensor) -> None:
            distributed.all_reduce(tensor, group=group)

        self._collective("all-reduce", group, reduce, 2 * share)
        self._step("all-reduce of one token")
        token = torch.zeros(LATENCY_BYTES, dtype=torch.uint8, device=self._device)
        if group is not None:
            seconds = per_run(lambda: reduce(token), LATENCY_REPEATS if self._layout.on_gpus else 5, self._device)
            self._figures.add(figure="all-reduce of one token", microseconds=seconds * 1e6)
            ones = torch.ones(MiB, device=self._device)
            reduce(ones)
            self._figures.add(figure="sum", right=bool((ones == size).all()))
        if self._layout.expert_parallel:

            def gather(tensor: torch.Tensor) -> None:
                whole, own = _shared(tensor, size)
                distributed.all_gather_into_tensor(whole, own, group=group)

            def scatter(tensor: torch.Tensor) -> None:
                whole, own = _shared(tensor, size)
                distributed.reduce_scatter_tensor(own, whole, group=group)

            self._collective("all-gather", group, gather, share)
            self._collective("reduce-scatter", group, scatter, share)

    def _collective(
        self, name: str, group: distributed.ProcessGroup | None, run: Callable[[torch.Tensor], None], factor: float
    ) -> None:
        """Write the bandwidth of a bus (nccl-tests, PERFORMANCE.md): what each link carries, whatever the ranks."""
        self._step(name)
        seconds, size = self._adapted(None if group is None else run)
        if group is not None:
            self._figures.add(figure=name, gigabytes=factor * size / seconds / GB)

    def _exchange(self, name: str, number: int, pairs: list[Pair]) -> None:
        """Write what this rank receives from its peer while it sends as much to it."""
        self._step(f"{name}, round {number + 1}")
        peer = peer_in(pairs, self._rank)

        def run(tensor: torch.Tensor) -> None:
            assert peer is not None  # noqa: S101  for the type
            half = tensor.numel() // 2
            operations = [
                distributed.P2POp(distributed.isend, tensor[:half], peer),
                distributed.P2POp(distributed.irecv, tensor[half:], peer),
            ]
            for work in distributed.batch_isend_irecv(operations):
                work.wait()

        seconds, size = self._adapted(None if peer is None else run)
        if peer is not None:
            pair = sorted((self._rank, peer))
            self._figures.add(figure=name, ranks=pair, gigabytes=size / 2 / seconds / GB)

    def _adapted(self, run: Callable[[torch.Tensor], None] | None) -> tuple[float, int]:
        """Return the seconds of one transfer and its bytes; a rank with nothing to `run` only agrees on the size."""
        seconds = self._timed(run, self._small, 1)
        slowest = torch.tensor([seconds], device=self._device)
        distributed.all_reduce(slowest, distributed.ReduceOp.MAX)
        affordable = BUDGET_SECONDS / REPEATS / max(float(slowest), 1e-6)
        size = min(self._large, max(self._small, int(self._small * affordable) // MiB * MiB))
        return self._timed(run, size, REPEATS), size

    def _timed(self, run: Callable[[torch.Tensor], None] | None, size: int, repeats: int) -> float:
        tensor = torch.zeros(size, dtype=torch.uint8, device=self._device)
        if run is not None:
            run(tensor)  # connects, so that all begin at once after the barrier
        distributed.barrier()
        return 0.0 if run is None else per_run(lambda: run(tensor), repeats, self._device)

    def _step(self, name: str) -> None:
        self._figures.add(step=name)


def _shared(tensor: torch.Tensor, ranks: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return as much of a tensor as so many ranks can share equally, and room for one rank's share."""
    share = tensor.numel() // ranks
    return tensor[: share * ranks], torch.empty(share, dtype=tensor.dtype, device=tensor.device)


def main() -> None:
    """Measure, and write why not where that fails."""
    seconds = float(os.environ["SECONDS"])
    faulthandler.dump_traceback_later(seconds, exit=True)  # a thread of C: it ends what hangs in a library, too
    figures = Figures(Path(os.environ["FIGURES"]))
    rank = Rank(int(os.environ["RANK"]), Layout.read(os.environ["LAYOUT"]), figures)
    try:
        rank.check_processor()
        rank.join(os.environ["MASTER_HOST"], int(os.environ["MASTER_PORT"]), seconds)
        rank.measure()
    except Exception as error:  # noqa: BLE001  whatever a library raises is the result
        figures.add(failed=f"{type(error).__name__}: {error}"[:500])
        os._exit(1)
    figures.add(step="")
    sys.stdout.flush()
    os._exit(0)  # taking NCCL's communicators apart can hang, and the process ends anyway


if __name__ == "__main__":
    main()
