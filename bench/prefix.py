"""What it saves when a conversation comes back to the engine that has it in its prefix cache.

    python -m bench.prefix VLLM_PYTHON [ROUNDS]

Two vLLM of the Python VLLM_PYTHON, which has vLLM 0.32 for CPUs, stand behind one proxy and behind two. Clients hold
conversations, whose requests the proxies divide by the number of requests (no header) and by conversation (with one),
in turn in one run. The model is the tiny one's sibling of Llama's architecture, because vLLM 0.32 has no prefix cache
for latent attention on CPUs. Written to bench/results.json under `prefix`: the share of prompt tokens that vLLM found
in its cache, and the time to the first token of all turns but a conversation's first.
"""

import contextlib
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tiny_siblings import write_siblings

from bench import ROOT, results
from bench.conversations import Conversation
from bench.gpu.server import end
from components.endpoint.haproxy import DoorRules, haproxy_configuration
from components.endpoint.haproxy_sections import CONVERSATION_ID, engine_server
from components.ray_cluster.ray_cluster import PORT
from tests.endpoint.door import Engine, Run, free_port, running_haproxy

HOSTS = ("127.0.0.1", "127.0.0.2")
CLIENTS = (4, 12)
"""Of 12 conversations at a time the caches of both engines together have room for all, and that of one has not."""

CACHE_TOKENS = 24_576
CONVERSATIONS_OF_A_CLIENT = 2
BLOCK_TOKENS = 128
"""vLLM's on CPUs; it finds whole blocks only."""

SERVES_WITHIN_SECONDS, ENDS_WITHIN_SECONDS = 600, 30
ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
}


@dataclass
class Measured:
    """What came of the conversations of one kind."""

    seconds: list[float] = field(default_factory=list[float])
    queries: float = 0
    hits: float = 0

    def figures(self) -> dict[str, float]:
        """Return them as they are written."""
        return {
            "hit_ratio": round(self.hits / self.queries, 3),
            "first_token_ms": round(statistics.median(self.seconds) * 1000),
            "first_token_p90_ms": round(statistics.quantiles(self.seconds, n=10)[-1] * 1000),
        }


def main() -> None:
    """Measure, print, and add the figures to the results."""
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    measured: dict[tuple[int, int, bool], Measured] = {
        (clients, proxies, named): Measured() for clients in CLIENTS for proxies in (1, 2) for named in (False, True)
    }
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        engine = stack.enter_context(_running_engines(sys.argv[1], Path(folder)))
        ports = [_proxy(Path(folder, f"proxy-{number}"), engine, stack) for number in range(2)]
        _hold(engine, ports, "warm", 2, named=False)
        for number in range(rounds):
            kinds = list(measured) if number % 2 else list(reversed(measured))
            for clients, proxies, named in kinds:
                name = f"{number}-{clients}-{proxies}-{named}"
                one = _hold(engine, ports[:proxies], name, clients, named=named)
                total = measured[clients, proxies, named]
                total.seconds += one.seconds
                total.queries += one.queries
                total.hits += one.hits
                print(name, one.figures(), flush=True)
    figures: dict[str, Any] = {}
    for (clients, proxies, named), total in measured.items():
        place = figures.setdefault(f"{clients}_clients_{proxies}_proxies", {})
        place["by_conversation" if named else "by_requests"] = total.figures()
    print(figures)
    results.add({"prefix": figures})


def _hold(engine: Engine, ports: Sequence[int], name: str, clients: int, *, named: bool) -> Measured:
    """Let so many clients hold their conversations."""
    queries, hits = _counted(engine)
    conversations = [
        Conversation(of, ports, {CONVERSATION_ID: of} if named else {})
        for of in (f"{name}-{number}" for number in range(clients * CONVERSATIONS_OF_A_CLIENT))
    ]
    with ThreadPoolExecutor(clients) as pool:
        held = list(pool.map(Conversation.hold, conversations))
    queries_after, hits_after = _counted(engine)
    return Measured([second for seconds in held for second in seconds[1:]], queries_after - queries, hits_after - hits)


def _counted(engine: Engine) -> tuple[float, float]:
    """Return the prompt tokens that both vLLM looked for in their caches, and those that they found."""
    text = ""
    for host in HOSTS:
        with urllib.request.urlopen(f"http://{host}:{engine.port}/metrics", timeout=60) as response:
            text += response.read().decode()
    queries, hits = (
        sum(float(value) for value in re.findall(rf"^vllm:prefix_cache_{name}_total{{.*}} (\S+)$", text, re.MULTILINE))
        for name in ("queries", "hits")
    )
    return queries, hits


def _proxy(folder: Path, engine: Engine, stack: ExitStack) -> int:
    """Run a proxy with the configuration of the program; return its port."""
    folder.mkdir()
    servers = [engine_server(host, "127.0.0.1", f"vllm-{number}") for number, host in enumerate(HOSTS)]
    text = haproxy_configuration(servers, DoorRules(guarded=False))
    return stack.enter_context(running_haproxy(folder, engine, text, PORT, Run())).port


@contextlib.contextmanager
def _running_engines(python: str, folder: Path) -> Generator[Engine]:
    """Run two vLLM at one port of HOSTS until the context ends."""
    source, plugin = folder / "cpu-platform", folder / "plugin"
    shutil.copytree(ROOT / "images" / "ray-vllm" / "cpu-platform", source)
    pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([python, *pip, "--target", str(plugin), str(source)], check=True)
    model, port = write_siblings(folder / "model")["grouped"], free_port()
    flags = [
        "--served-model-name=tiny",
        f"--port={port}",
        "--enforce-eager",
        f"--num-gpu-blocks-override={CACHE_TOKENS // BLOCK_TOKENS}",
    ]
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": str(plugin)}
    with ExitStack() as stack:
        for number, host in enumerate(HOSTS):
            log = stack.enter_context((folder / f"vllm-{number}.log").open("wb"))
            command = [python, "-m", "vllm.entrypoints.cli.main", "serve", str(model), f"--host={host}", *flags]
            process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
            stack.callback(end, process, signal.SIGTERM, ENDS_WITHIN_SECONDS)
        for host in HOSTS:
            _wait(f"http://{host}:{port}/health")
        yield Engine(port)


def _wait(url: str) -> None:
    deadline = time.monotonic() + SERVES_WITHIN_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
        else:
            return


if __name__ == "__main__":
    main()
