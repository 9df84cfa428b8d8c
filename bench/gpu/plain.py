"""Start `vllm serve` as the article does, in a new pod's state: `python -m bench.gpu.plain --layers 7`; see `--help`.

Its home is empty, so that it compiles all that it needs, as the first start on a node does and each later one of a pod
that keeps nothing. vLLM makes up the weights, and draws the experts of each token at random, as in the rows.
bench.gpu.deployment measures the same of a stack's pods.
"""

import argparse
import json
import os
import re
import time
from pathlib import Path
from typing import Any

from bench.gpu.load import AFTER_READY, put
from bench.gpu.machine import gpus, versions
from bench.gpu.model import write_model
from bench.gpu.server import free_port, reported, started
from bench.gpu.stack import V3_BF16
from planning.sizing.model_file import model_of

CACHES = re.compile(r"^XDG_CACHE_HOME$|CACHE_(ROOT|DIR|PATH)$|^FLASHINFER_WORKSPACE_BASE$")
"""Variables that would lead what is compiled out of the home."""


def main() -> None:
    """Print how long it took, and how fast the first 64 requests at once were, and the second."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu.plain", description=__doc__)
    parser.add_argument("--layers", type=int, required=True, help="how many of the model; V3's first three are dense")
    parser.add_argument("--repository", default=V3_BF16, help="OWNER/NAME of a file of planning/models")
    parser.add_argument("--tensor-parallel-size", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=420, help="seconds to wait for /health")
    parser.add_argument("--keep", type=Path, required=True, help="folder for the log and what is compiled")
    options = parser.parse_args()
    home, model = options.keep / "home", options.keep / "model"
    for folder in (home, model):
        folder.mkdir(parents=True)
    write_model(model, options.layers, options.repository)
    for variable in [name for name in os.environ if CACHES.search(name)]:
        del os.environ[variable]
    os.environ["HOME"] = str(home.absolute())
    port = free_port()
    parallel = f"--tensor-parallel-size={options.tensor_parallel_size}"
    of_the_article = ["serve", str(model), parallel, "--trust-remote-code", "--max-model-len=16384"]
    of_this_machine = ["--host=127.0.0.1", f"--port={port}", "--load-format=dummy"]
    found: dict[str, Any] = {
        "versions": versions(),
        "gpu": gpus()[0],
        "layers": options.layers,
        "repository": options.repository,
        "precision": model_of(options.repository).precision,
        "tensor_parallel_size": options.tensor_parallel_size,
    }
    with started([*of_the_article, *of_this_machine], port, options.keep) as server:
        found["healthy"] = server.wait(options.timeout)
        found["seconds_to_healthy"] = round(time.monotonic() - server.started, 1)
        if found["healthy"]:
            found["after_ready"] = [put(server.url, load, str(model)) for load in AFTER_READY]
        found |= reported(server.text())
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
