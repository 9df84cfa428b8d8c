"""A vLLM under test: started as the program starts it, watched until it serves, and what it reports of its memory."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

STOP_SECONDS = 25

REPORTS = {
    "weights_gib": r"Model loading took ([\d.]+) GiB",
    "kv_cache_gib": r"Available KV cache memory: ([\d.]+) GiB",
    "kv_tokens": r"GPU KV cache size: ([\d,]+) tokens",
    "graphs_estimated_gib": r"Estimated CUDA graph memory: ([\d.]+) GiB",
    "graphs_taken_gib": r"Graph capturing finished in \d+ secs?, took ([\d.]+) GiB",
}
"""What vLLM 0.32 logs, and under which name a row has it. Every rank logs; see `reported`."""

MULTICAST_OFF = {
    # flashinfer's default all-reduce uses NVLink multicast, which not every machine may use.
    "VLLM_FLASHINFER_ALLREDUCE_BACKEND": "trtllm",
    "NCCL_NVLS_ENABLE": "0",
    "TORCH_SYMM_MEM_DISABLE_MULTICAST": "1",
    "NVSHMEM_DISABLE_NVLS": "1",
}

ROUTING = "VLLM_MOE_ROUTING_SIMULATION_STRATEGY"
UNIFORM_ROUTING = {ROUTING: "uniform_random"}
"""Each token goes to experts drawn at random, as even as a trained router's choice.

The router of random weights is decided by its bias, which is the same for every token. So all tokens would go to the
same 8 of 256 experts, and a batch of 64 would read a twenty-eighth of the weights that it reads of a trained model.
"""


@dataclass(frozen=True)
class Server:
    """A started vLLM."""

    process: subprocess.Popen[bytes]
    log: Path
    url: str
    started: float

    def wait(self, seconds: float) -> bool:
        """Wait until /health answers; False where vLLM has ended or the time is over."""
        while time.monotonic() - self.started < seconds and self.process.poll() is None:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{self.url}/health", timeout=2)
                return True
            time.sleep(0.5)
        return False

    def text(self) -> str:
        """Everything that vLLM has printed, without colours."""
        return re.sub(r"\x1b\[[0-9;]*m", "", self.log.read_text(errors="replace"))


@contextlib.contextmanager
def started(arguments: Sequence[str], port: int, folder: Path) -> Generator[Server]:
    """Have `vllm ARGUMENTS` serve on that port of loopback.

    Its log, and what each of its processes holds of a GPU, go into `folder`.
    """
    trace = folder / "memory"
    trace.mkdir(parents=True)
    hook = Path(__file__).parent / "memory_trace"
    environment = {
        **MULTICAST_OFF,
        **UNIFORM_ROUTING,
        **os.environ,
        "MEMORY_TRACE": str(trace),
        "PYTHONPATH": f"{hook}:{os.environ.get('PYTHONPATH', '')}",
    }
    log = folder / "vllm.log"
    command = [sys.executable, "-m", "vllm.entrypoints.cli.main", *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, env=environment
        )
    try:
        yield Server(process, log, f"http://127.0.0.1:{port}", time.monotonic())
    finally:
        end(process, signal.SIGINT, STOP_SECONDS)


def end(process: subprocess.Popen[bytes], asked: signal.Signals, seconds: float) -> None:
    """End a process of its own session and what it has started: ask it, and kill it after so many seconds."""
    for sign in (asked, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, sign)
            process.wait(seconds)


def free_port() -> int:
    """A port on loopback that nobody listens on, so that two GPUs of a machine can be measured side by side."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def reported(log: str) -> dict[str, float | int]:
    """What vLLM said: the most of any rank for what is taken, the least for what is left."""
    found: dict[str, float | int] = {}
    for name, pattern in REPORTS.items():
        values = [float(value.replace(",", "")) for value in re.findall(pattern, log)]
        if values:
            value = min(values) if name.startswith("kv_") else max(values)
            found[name] = int(value) if name == "kv_tokens" else value
    return found
