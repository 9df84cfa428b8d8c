"""One node: starts its ranks, waits for them no longer than told, and returns what they measured and what it sees."""

import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nccl_log
from proof_layout import Layout

PROGRAMS = Path(__file__).parent
GRACE_SECONDS = 5.0
POLL_SECONDS = 0.05
STOOD_STILL = "it stood still"
TIMED_OUT = "Timeout ("
"""How Python's faulthandler begins, by which a rank ends itself."""

OUTPUT_CHARACTERS = 600


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a node has to do: it has the ranks from `first_rank` on, which meet at `host` and `port`."""

    layout: Layout
    first_rank: int
    host: str
    port: int
    seconds: float
    """After which its ranks have ended."""


def run(task: Task) -> dict[str, Any]:
    """Return what one node found out (`run_in`)."""
    with tempfile.TemporaryDirectory(prefix="network-proof-") as folder:
        return run_in(Path(folder), task, os.environ)


def run_in(folder: Path, task: Task, environment: Mapping[str, str]) -> dict[str, Any]:
    """Run the ranks of one node in this environment; return what they and it found out. Their files stay in `folder`.

    `ranks` has, by rank as text, what rank_measure.py wrote, and `end` where that did not end well.
    """
    processes = {
        task.first_rank + place: _start(task, place, folder, environment) for place in range(task.layout.ranks_per_node)
    }
    ended = _wait(list(processes.values()), task.seconds)
    ranks = {
        str(rank): _of_rank(folder, rank, process, stood_still=process in ended) for rank, process in processes.items()
    }
    logs = [path.read_text(errors="replace") for path in folder.glob("nccl-*")]
    return {
        "name": socket.gethostname(),
        "address": os.environ.get("VLLM_HOST_IP", ""),
        "ranks": ranks,
        "ways": asdict(nccl_log.ways(logs)),
        **_of_machine(),
    }


def _start(task: Task, place: int, folder: Path, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    rank = task.first_rank + place
    variables = {
        **environment,
        **nccl_log.VARIABLES,
        "NCCL_DEBUG_FILE": str(folder / f"nccl-{rank}"),
        "RANK": str(rank),
        "LAYOUT": task.layout.told(),
        "MASTER_HOST": task.host,
        "MASTER_PORT": str(task.port),
        "SECONDS": str(task.seconds),
        "FIGURES": str(folder / f"figures-{rank}"),
    }
    if task.layout.on_gpus:
        devices = environment.get("CUDA_VISIBLE_DEVICES", "").split(",")
        variables["CUDA_VISIBLE_DEVICES"] = devices[place] if devices[0] else str(place)
    with (folder / f"output-{rank}").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "rank_measure"],
            cwd=PROGRAMS,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def _wait(processes: Sequence["subprocess.Popen[bytes]"], seconds: float) -> Sequence["subprocess.Popen[bytes]"]:
    """Wait until all have ended; end and return those that have not in time. Without one the others cannot go on."""
    deadline = time.monotonic() + seconds + GRACE_SECONDS
    while any(process.poll() is None for process in processes) and time.monotonic() < deadline:
        if any(process.poll() for process in processes):
            deadline = min(deadline, time.monotonic() + GRACE_SECONDS)
        time.sleep(POLL_SECONDS)
    late = [process for process in processes if process.poll() is None]
    for process in late:
        process.kill()
        process.wait()
    return late


def _of_rank(folder: Path, rank: int, process: "subprocess.Popen[bytes]", *, stood_still: bool) -> dict[str, Any]:
    file = folder / f"figures-{rank}"
    # A rank that was ended in the middle of a line has not written its end.
    written = file.read_text().rpartition("\n")[0].splitlines() if file.exists() else []
    lines = [json.loads(line) for line in written]
    step = next((line["step"] for line in reversed(lines) if "step" in line), "its start")
    failed = next((line["failed"] for line in lines if "failed" in line), "")
    found: dict[str, Any] = {"figures": [line for line in lines if "figure" in line]}
    if process.returncode or step:
        said = (folder / f"output-{rank}").read_text(errors="replace").strip()
        if stood_still or said.startswith(TIMED_OUT):
            end = STOOD_STILL
        else:
            end = failed or said[-OUTPUT_CHARACTERS:] or f"exit code {process.returncode}"
        found |= {"step": step, "end": end}
    return found


def _of_machine() -> dict[str, Any]:
    _, memlock = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    devices = Path("/dev/infiniband")
    return {
        "memlock": None if memlock == resource.RLIM_INFINITY else memlock,
        "infiniband": sorted(path.name for path in devices.glob("uverbs*")) if devices.is_dir() else [],
        "uncorrectedErrors": _uncorrected_errors(),
    }


def _uncorrected_errors() -> list[int]:
    """Return the ECC errors of each GPU since its driver was loaded, nothing where nvidia-smi does not tell."""
    query = ["nvidia-smi", "--query-gpu=ecc.errors.uncorrected.volatile.total", "--format=csv,noheader"]
    try:
        said = subprocess.run(query, check=True, capture_output=True, text=True, timeout=GRACE_SECONDS).stdout
        return [int(line) for line in said.split()]
    except (OSError, subprocess.SubprocessError, ValueError):
        return []
