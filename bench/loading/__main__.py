"""What the stages of a pipeline read of a checkpoint, with the image's plugin `stage-weights` and without.

    python -m bench.loading [--folder FOLDER] [--rate BYTES_PER_SECOND]

It wants root, vLLM 0.32 for CPUs in this Python, 10 GB of disk and 6 GB of memory. The stages load one after the other,
each with a cold page cache and its volume slowed down by a control group, as if each were alone on its node. Prints
the figures, and writes them as `load` into bench/results.json: `bytes_ratio` (read over kept, of all stages),
`wall_ratio` (the slowest stage with the plugin over that without).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import ROOT
from bench.gpu.server import free_port
from bench.loading.model import FILES, write_model
from bench.loading.volume import SlowVolume, drop_cache
from bench.results import add

STAGES = 2
PLUGIN = "stage_weights"
SAID = "stage: "


class Stage:
    """A process that loads one stage."""

    def __init__(self, model: Path, rank: int, port: int, environment: dict[str, str]) -> None:
        program = ROOT / "bench" / "loading" / "stage.py"
        command = [sys.executable, str(program), str(model), str(rank), str(STAGES), str(port)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )

    def heard(self) -> dict[str, Any]:
        """Return the next line that it says. Raises RuntimeError when it ends before."""
        for line in self.process.stdout or ():
            if line.startswith(SAID):
                return json.loads(line.removeprefix(SAID))
        raise RuntimeError(f"a stage ended with {self.process.wait()}; its log stands above")

    def load(self) -> dict[str, Any]:
        """Have it load; return what it measured."""
        print(file=self.process.stdin, flush=True)
        return self.heard()

    def end(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


def measured(model: Path, rate: int, plugins: Path, *, with_plugin: bool) -> list[dict[str, Any]]:
    """Return what each stage measured, loading from a volume of `rate` bytes a second."""
    environment = {
        "PYTHONPATH": str(plugins),
        "VLLM_PLUGINS": PLUGIN if with_plugin else "none",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }
    port, volume = free_port(), SlowVolume(model, rate)
    stages = [Stage(model, rank, port, environment) for rank in range(STAGES)]
    figures: list[dict[str, Any]] = []
    try:
        for stage in stages:
            stage.heard()
        for stage in stages:
            drop_cache(model)
            volume.take(stage.process.pid)
            figures.append(stage.load())
    finally:
        for stage in stages:
            stage.end()
        volume.remove()
    return figures


def compared(plain: list[dict[str, Any]], ours: list[dict[str, Any]]) -> dict[str, float]:
    """Return the figures of both. Raises ValueError where they have not loaded the same tensors."""
    if [stage["checksum"] for stage in plain] != [stage["checksum"] for stage in ours]:
        raise ValueError(f"other tensors were loaded: {plain} {ours}")

    def bytes_ratio(stages: list[dict[str, Any]]) -> float:
        return round(sum(stage["read"] for stage in stages) / sum(stage["kept"] for stage in stages), 3)

    seconds, plain_seconds = (max(stage["seconds"] for stage in stages) for stages in (ours, plain))
    return {
        "bytes_ratio": bytes_ratio(ours),
        "plain_bytes_ratio": bytes_ratio(plain),
        "wall_ratio": round(seconds / plain_seconds, 3),
        "seconds": round(seconds, 1),
        "plain_seconds": round(plain_seconds, 1),
    }


def main() -> None:
    """Measure both ways, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the checkpoint goes for as long as this runs")
    parser.add_argument("--rate", type=int, default=125_000_000, help="bytes a second of the volume: 1 Gbit")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-load-", dir=options.folder) as folder:
        model, plugins = Path(folder) / "model", Path(folder) / "plugins"
        model.mkdir()
        size = write_model(model)
        pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
        source = ROOT / "images" / "ray-vllm" / "stage-weights"
        subprocess.run([sys.executable, *pip, "--target", str(plugins), str(source)], check=True)
        plain = measured(model, options.rate, plugins, with_plugin=False)
        ours = measured(model, options.rate, plugins, with_plugin=True)
    load = {**compared(plain, ours), "bytes": size, "files": FILES, "bytes_per_second": options.rate}
    print(json.dumps(load, indent=1))
    add({"load": load})


if __name__ == "__main__":
    main()
