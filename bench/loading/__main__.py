"""What the stages of a pipeline read of a checkpoint, with the image's plugin `stage-weights` and without.

    python -m bench.loading [--folder FOLDER] [--rate BYTES_PER_SECOND]
    python -m bench.loading --gpus [--folder FOLDER]

It wants root, and vLLM 0.32 in this Python. On CPUs it takes 10 GB of disk and 6 GB of memory; the volume is slowed
down by a control group. On two GPUs it takes 65 GB of disk, whose speed is the machine's, and tries the formats by
which all ranks load together, too. For a format by which each stage reads for itself, the stages load one after the
other, each with a cold page cache, as if each were alone on its node.

Prints the figures, and writes them as `load` or `load_on_gpus` into bench/results.json: `bytes_ratio` (read over kept,
of all stages), `wall_ratio` (the slowest stage with the plugin over that without).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import ROOT
from bench.gpu.server import free_port
from bench.loading.model import NARROW, WIDE, write_model
from bench.loading.volume import SlowVolume, drop_cache
from bench.results import add

STAGES = 2
PLUGIN = "stage_weights"
SAID = "stage: "
DEFAULT = "auto"
TOGETHER = ("fastsafetensors", "instanttensor")
"""Formats by which all ranks load together, on GPUs."""

Figures = dict[str, Any]


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

    def begin(self, load_format: str) -> None:
        """Have it load."""
        print(load_format, file=self.process.stdin, flush=True)

    def end(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()


def measured(
    model: Path, rate: int | None, plugins: Path, formats: Sequence[str], *, with_plugin: bool
) -> dict[str, list[Figures]]:
    """Return what each stage measured for each format, from a volume of `rate` bytes a second, or as fast as it is."""
    environment = {
        "PYTHONPATH": f"{plugins}:{os.environ.get('PYTHONPATH', '')}",
        "VLLM_PLUGINS": PLUGIN if with_plugin else "none",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
    }
    port = free_port()
    volume = SlowVolume(model, rate) if rate else None
    stages = [Stage(model, rank, port, environment) for rank in range(STAGES)]
    try:
        for stage in stages:
            stage.heard()
            if volume:
                volume.take(stage.process.pid)
        return {load_format: _loaded(model, stages, load_format) for load_format in formats}
    finally:
        for stage in stages:
            stage.end()
        if volume:
            volume.remove()


def _loaded(model: Path, stages: Sequence[Stage], load_format: str) -> list[Figures]:
    sides = [stages] if load_format in TOGETHER else [[stage] for stage in stages]
    figures: list[Figures] = []
    for side in sides:
        drop_cache(model)
        for stage in side:
            stage.begin(load_format)
        figures += [stage.heard() for stage in side]
    return figures


def compared(plain: list[Figures], ours: list[Figures]) -> dict[str, float]:
    """Return the figures of both. Raises ValueError where they have not loaded the same tensors."""
    if [stage["checksum"] for stage in plain] != [stage["checksum"] for stage in ours]:
        raise ValueError(f"other tensors were loaded: {plain} {ours}")
    seconds, plain_seconds = _seconds(ours), _seconds(plain)
    return {
        "bytes_ratio": _bytes_ratio(ours),
        "plain_bytes_ratio": _bytes_ratio(plain),
        "wall_ratio": round(seconds / plain_seconds, 3),
        "seconds": round(seconds, 1),
        "plain_seconds": round(plain_seconds, 1),
    }


def _bytes_ratio(stages: list[Figures]) -> float:
    return round(sum(stage["read"] for stage in stages) / sum(stage["kept"] for stage in stages), 3)


def _seconds(stages: list[Figures]) -> float:
    return max(stage["seconds"] for stage in stages)


def main() -> None:
    """Measure both ways, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the checkpoint goes for as long as this runs")
    parser.add_argument("--rate", type=int, default=125_000_000, help="bytes a second of the volume: 1 Gbit")
    parser.add_argument("--gpus", action="store_true", help="load onto two GPUs, from a volume as fast as it is")
    options = parser.parse_args()
    rate, shape = (None, WIDE) if options.gpus else (options.rate, NARROW)
    with tempfile.TemporaryDirectory(prefix="bench-load-", dir=options.folder) as folder:
        model, plugins = Path(folder) / "model", Path(folder) / "plugins"
        model.mkdir()
        size = write_model(model, shape)
        pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
        source = ROOT / "images" / "ray-vllm" / "stage-weights"
        subprocess.run([sys.executable, *pip, "--target", str(plugins), str(source)], check=True)
        formats = (DEFAULT, *TOGETHER) if options.gpus else (DEFAULT,)
        plain = measured(model, rate, plugins, formats, with_plugin=False)
        ours = measured(model, rate, plugins, [DEFAULT], with_plugin=True)
    load = {**compared(plain[DEFAULT], ours[DEFAULT]), "bytes": size, "files": shape.files, "bytes_per_second": rate}
    for load_format in formats[1:]:
        together = plain[load_format]
        load[load_format] = {"seconds": round(_seconds(together), 1), "bytes_ratio": _bytes_ratio(together)}
    print(json.dumps(load, indent=1))
    add({"load_on_gpus" if options.gpus else "load": load})


if __name__ == "__main__":
    main()
