"""Measure one row: `python -m bench.gpu --layers 7 --serving '{"tensorParallelSize": 2}' --load`; see `--help`."""

import argparse
import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.gpu.load import HEAVY, NAME, RATES, WARM_UP, put
from bench.gpu.machine import gpus, versions
from bench.gpu.memory import held
from bench.gpu.model import TOKENIZER, write_model
from bench.gpu.server import ROUTING, UNIFORM_ROUTING, Server, free_port, reported, started
from bench.gpu.stack import V3_BF16, stack
from components.vllm_server.vllm_arguments import vllm_arguments
from planning.parse import parse
from planning.plan import Plan, make_plan
from planning.settings.sections import StackSettings
from planning.sizing.model_file import model_of

ROWS = Path(__file__).parent / "rows.json"


def main() -> None:
    """Start vLLM, load it, print the row and add it to rows.json."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    parser.add_argument("--layers", type=int, required=True, help="how many of the model; V3's first three are dense")
    parser.add_argument("--repository", default=V3_BF16, help="OWNER/NAME of a file of planning/models")
    parser.add_argument("--serving", type=json.loads, default={}, help="keys of deepseek:serving, as JSON")
    parser.add_argument("--rates", action="store_true", help="measure tokens/s at 1 to 1,024 requests")
    parser.add_argument("--heavy", type=float, default=0, metavar="SECONDS", help="load its memory for so long")
    parser.add_argument("--unpinned", action="store_true", help="let vLLM size its KV cache, not the plan")
    parser.add_argument("--timeout", type=float, default=420, help="seconds to wait for /health")
    parser.add_argument("--keep", type=Path, help="folder for the log and the trace of the memory")
    parser.add_argument("--shared", action="store_true", help="others use this machine too, so that rates tell less")
    parser.add_argument("--note", default="", help="what a reader should know, such as `first start`")
    options = parser.parse_args()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="gpu-row-"))
    row = measure(options, folder)
    print(json.dumps(row, indent=1))
    rows: list[dict[str, Any]] = json.loads(ROWS.read_text()) if ROWS.exists() else []
    ROWS.write_text(json.dumps([*rows, row], indent=1) + "\n")


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One start: what it was told, what it reported, how fast it was, and what it held at the most."""
    found = gpus()
    sections = stack(found[0]["name"].replace(" ", "-"), options.layers, options.repository, options.serving)
    settings = parse({**sections, "model": {**sections["model"], "name": NAME}})
    plan = make_plan(settings)
    model = folder / "model"
    model.mkdir(parents=True)
    write_model(model, options.layers, options.repository)
    row: dict[str, Any] = {
        "versions": versions(),
        "gpu": found[0],
        "layers": options.layers,
        "repository": options.repository,
        "precision": model_of(options.repository).precision,
        "serving": options.serving,
        "routing": os.environ.get(ROUTING, UNIFORM_ROUTING[ROUTING]),
        "tokenizer": TOKENIZER,
        "kv_cache_memory_bytes": None if options.unpinned else plan.kv_cache_memory_bytes or None,
        "note": options.note,
        "shared": options.shared,
    }
    port = free_port()
    pinned = replace(plan, kv_cache_memory_bytes=row["kv_cache_memory_bytes"])
    with started(_arguments(settings, pinned, model, port), port, folder) as server:
        row["healthy"] = server.wait(options.timeout)
        row["seconds_to_healthy"] = round(time.monotonic() - server.started, 1)
        row["memory_mib_at_start"] = [gpu["used_mib"] for gpu in gpus()]
        if row["healthy"]:
            row |= _loaded(server, options)
        row["alive_at_the_end"] = server.process.poll() is None
        row |= reported(server.text())
        row["memory"] = held(folder / "memory")
        row["memory_mib_at_the_end"] = [gpu["used_mib"] for gpu in gpus()]
        if not row["healthy"]:
            row["last_words"] = server.text()[-1500:]
    return row


def _loaded(server: Server, options: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if options.rates or options.heavy:
        found["warm_up"] = [put(server.url, load) for load in WARM_UP]
    if options.rates:
        found["rates"] = [put(server.url, load) for load in RATES]
    if options.heavy:
        found |= {"heavy_requests": 0, "heavy_failed": 0}
        end = time.monotonic() + options.heavy
        while time.monotonic() < end and server.process.poll() is None:
            for load in HEAVY:
                found["heavy_requests"] += load.requests
                found["heavy_failed"] += put(server.url, load)["failed"]
    return found


def _arguments(settings: StackSettings, plan: Plan, model: Path, port: int) -> list[str]:
    arguments = vllm_arguments(settings.serving, plan, str(model), model=settings.model, port=port)
    local = ["--host=127.0.0.1" if argument.startswith("--host=") else argument for argument in arguments]
    return [*local, "--load-format=dummy"]


if __name__ == "__main__":
    main()
