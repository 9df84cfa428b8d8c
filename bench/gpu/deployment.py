"""Serve on this machine as the pods of a stack do: `python -m bench.gpu.deployment pods.json`; see `--help`.

The head's shell command, Ray, the supervisor and its programs are those that bench.gpu.pods has written, with their
environment: the network is proven, vLLM is submitted as a Ray job, warmed up, asked by the readiness probe, and stopped
by SIGTERM. There is no Kubernetes, and vLLM makes up the weights.
"""

import argparse
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.gpu.load import AFTER_READY, RATES, WARM_UP, put
from bench.gpu.machine import gpus, versions
from bench.gpu.model import write_model
from bench.gpu.server import end, reported
from planning.sizing.model_file import model_of

sys.path.insert(0, str(Path(__file__).parents[2] / "images/ray-vllm/programs/shared"))

from supervisor_log import Event, parse

MODELS, CACHES, PROGRAMS = "/mnt/models", "/var/cache/vllm", "/programs"
"""Where the pods have them."""

ENDPOINT, DASHBOARD = "http://127.0.0.1:8000", "http://127.0.0.1:8265"
RAY_START = "ray start --head --block --port=6379 --dashboard-host=127.0.0.1"
ADDRESS = "import ray; print(ray.util.get_node_ip_address())"
OF_THE_CLUSTER = ("NETWORK_RESULT", "AGENT_PORT")
"""Variables of the supervisor that need a cluster."""

STEPS = ("joined", "network", "submitted", "warmed_up", "serving")
"""Events of the supervisor whose time is noted, in their order."""

TOLD = ("network", "kv_cache", "failed", "stopped")
"""Events of which the result has the details."""

STOP_SECONDS = 120
PROBE_SECONDS = 1.0


@dataclass
class Told:
    """What the supervisor has said: the first of each event, and its time after the start in seconds."""

    started: float = field(default_factory=time.monotonic)
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    events: dict[str, Event] = field(default_factory=dict[str, Event])

    def read(self, stream: Iterable[bytes], log: Path) -> None:
        """Copy the supervisor's output into `log` until it ends."""
        with log.open("wb") as copy:
            for line in stream:
                copy.write(line)
                copy.flush()
                if event := parse(line.decode(errors="replace")):
                    self.seconds.setdefault(event.name, round(time.monotonic() - self.started, 1))
                    self.events.setdefault(event.name, event)


def main() -> None:
    """Start once or more, each time with a new Ray and what was compiled before."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu.deployment", description=__doc__)
    parser.add_argument("pods", type=Path, help="what bench.gpu.pods has written")
    parser.add_argument("--starts", type=int, default=2)
    parser.add_argument("--rates", action="store_true", help="measure tokens/s at 1 to 1,024 requests, the last time")
    parser.add_argument("--timeout", type=float, default=420, help="seconds to wait until the readiness probe passes")
    parser.add_argument("--keep", type=Path, required=True, help="folder for logs and what is compiled")
    parser.add_argument("--note", default="", help="what a reader should know")
    options = parser.parse_args()
    pods = json.loads(options.pods.read_text())
    result: dict[str, Any] = {
        "versions": versions(),
        "gpu": gpus()[0],
        **{name: pods[name] for name in ("layers", "repository", "serving")},
        "precision": model_of(pods["repository"]).precision,
        "note": options.note,
        "starts": list[Any](),
    }
    for number in range(options.starts):
        rates = options.rates and number == options.starts - 1
        result["starts"].append(serve(pods, options.keep, number, options.timeout, rates=rates))
        print(json.dumps(result, indent=1), flush=True)


def serve(pods: dict[str, Any], keep: Path, number: int, timeout: float, *, rates: bool) -> dict[str, Any]:
    """Start Ray and the supervisor, wait until the model is ready, ask it, and end both."""
    models, caches = keep / "models", keep / "caches"
    caches.mkdir(parents=True, exist_ok=True)
    model = Path(_placed(pods["head"]["environment"]["SERVED_MODEL"], models, caches, keep))
    if not model.exists():
        model.mkdir(parents=True)
        write_model(model, pods["layers"], pods["repository"])
    token = secrets.token_hex(16)
    log = keep / f"supervisor-{number}.log"
    # vLLM looks for a data-parallel rank's node by the address that Ray has for it, which is never 127.0.0.1.
    address = subprocess.run([sys.executable, "-c", ADDRESS], check=True, capture_output=True, text=True).stdout.strip()
    head = _environment(pods["head"], keep / "head", models, caches) | {
        "VLLM_HOST_IP": address,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": token,
    }
    supervisor = _environment(pods["supervisor"], keep / "supervisor", models, caches) | {
        "RAY_JOBS_ADDRESS": DASHBOARD,
        "ENDPOINT": ENDPOINT,
        "RAY_AUTH_TOKEN": token,
    }
    arguments = json.loads(supervisor["VLLM_ARGUMENTS"])
    supervisor["VLLM_ARGUMENTS"] = json.dumps([*arguments, "--load-format=dummy"])
    for name in OF_THE_CLUSTER:
        supervisor.pop(name, None)
    told = Told()
    parameters = " ".join(f"--{name}={value}" for name, value in pods["ray_start"].items())
    # In a pod vLLM listens on all addresses, and NetworkPolicy and key guard it.
    start_ray = f"{pods['head']['command'][0]} && export SERVE_ON=127.0.0.1 && exec {RAY_START} {parameters}"
    with (
        _running(["bash", "-c", start_ray], head, keep / f"ray-{number}.log") as ray,
        _running(pods["supervisor"]["command"], supervisor, None) as process,
    ):
        reader = threading.Thread(target=told.read, args=(process.stdout or (), log), daemon=True)
        reader.start()
        ready = _wait_until_ready((ray, process), head, told.started + timeout)
        found: dict[str, Any] = {"ready": ready, "seconds": _steps(told)}
        if ready:
            found["seconds"]["ready"] = round(time.monotonic() - told.started, 1)
            found["after_ready"] = [put(ENDPOINT, load, str(model)) for load in AFTER_READY]
            found["warm_up"] = [put(ENDPOINT, load, str(model)) for load in WARM_UP]
            if rates:
                found["rates"] = [put(ENDPOINT, load, str(model)) for load in RATES]
        found["memory_mib"] = [gpu["used_mib"] for gpu in gpus()]
        asked = time.monotonic()
        process.send_signal(signal.SIGTERM)
        found["exit_code"] = process.wait(STOP_SECONDS)
        found["seconds"]["to_stop"] = round(time.monotonic() - asked, 1)
        reader.join(STOP_SECONDS)
        found["memory_mib_after_it"] = [gpu["used_mib"] for gpu in gpus()]
    text = log.read_text(errors="replace")
    words = {name: told.events[name].fields for name in TOLD if name in told.events}
    planned = int(supervisor.get("PLANNED_KV_CACHE_TOKENS", 0))
    return {**found, "told": words, "kv_tokens_planned": planned, **reported(text)}


def _steps(told: Told) -> dict[str, float]:
    return {name: told.seconds[name] for name in STEPS if name in told.seconds}


def _wait_until_ready(needed: Iterable[subprocess.Popen[bytes]], head: dict[str, str], end: float) -> bool:
    """Run the head's readiness probe again and again; False when a process that it needs has ended, or at `end`."""
    while time.monotonic() < end and all(process.poll() is None for process in needed):
        probe = subprocess.run([sys.executable, "-m", "readiness"], env=head, capture_output=True, check=False)
        if probe.returncode == 0:
            return True
        time.sleep(PROBE_SECONDS)
    return False


def _environment(pod: dict[str, Any], folder: Path, models: Path, caches: Path) -> dict[str, str]:
    """Write a pod's programs into a folder, and return its environment with the places of this machine."""
    programs = folder / "programs"
    programs.mkdir(parents=True, exist_ok=True)
    for name, text in pod["programs"].items():
        (programs / name).write_text(text)
    own = {name: _placed(value, models, caches, programs) for name, value in pod["environment"].items()}
    path = f"{programs}:{os.environ.get('PYTHONPATH', '')}"
    return {**os.environ, **own, "PYTHONPATH": path}


def _placed(text: str, models: Path, caches: Path, programs: Path) -> str:
    places = {MODELS: models, CACHES: caches, PROGRAMS: programs}
    for place, here in places.items():
        text = text.replace(place, str(here.absolute()))
    return text


@contextlib.contextmanager
def _running(command: list[str], environment: dict[str, str], log: Path | None) -> Generator[subprocess.Popen[bytes]]:
    """Run a command, with its output in `log` or else on its pipe, and end it."""
    output = log.open("wb") if log else subprocess.PIPE
    process = subprocess.Popen(
        command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        yield process
    finally:
        end(process, signal.SIGTERM, STOP_SECONDS)


if __name__ == "__main__":
    main()
