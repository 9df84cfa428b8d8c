"""One pipeline stage that loads its part of a checkpoint: `python stage.py MODEL RANK STAGES PORT`.

It runs where vLLM 0.32 is installed, and begins to load when it reads a line. It prints a line of JSON when it is
ready to, and another when it has loaded: seconds, bytes that storage has sent for it (`read_bytes` of /proc/self/io),
bytes of the parameters that it keeps, and a checksum of them.
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

import json
import os
import sys
import time
import zlib
from pathlib import Path

import torch
from vllm.config import set_current_vllm_config
from vllm.distributed import init_distributed_environment, initialize_model_parallel
from vllm.engine.arg_utils import EngineArgs
from vllm.model_executor.model_loader import get_model_loader
from vllm.model_executor.model_loader.utils import initialize_model
from vllm.plugins import load_general_plugins
from vllm.utils.torch_utils import set_default_torch_dtype


def read_bytes() -> int:
    """Return the bytes that storage has sent for this process."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["read_bytes"])


def checksum(model: torch.nn.Module) -> int:
    """Return a number that tells other parameters apart, and their order."""
    found = 0
    for name, parameter in model.named_parameters():
        found = zlib.crc32(parameter.detach().view(torch.uint8).numpy(), zlib.crc32(name.encode(), found))
    return found


def say(**fields: object) -> None:
    """Print one line for the benchmark."""
    print(f"stage: {json.dumps(fields)}", flush=True)


def main() -> None:
    """Join the other stages, build the model of this one, and load it when told to."""
    folder, rank, stages, port = sys.argv[1:]
    os.environ.setdefault("VLLM_DIST_IDENT", port)  # what vLLM's executor sets: the stages meet by it
    load_general_plugins()
    config = EngineArgs(
        model=folder, pipeline_parallel_size=int(stages), distributed_executor_backend="mp", max_model_len=2048
    ).create_engine_config()
    with set_current_vllm_config(config):
        init_distributed_environment(int(stages), int(rank), f"tcp://127.0.0.1:{port}", 0, backend="gloo")
        initialize_model_parallel(1, int(stages))
        with set_default_torch_dtype(torch.bfloat16):
            model = initialize_model(vllm_config=config)
        loader = get_model_loader(config.load_config)
        say(ready=True)
        sys.stdin.readline()
        began, read_before = time.monotonic(), read_bytes()
        loader.load_weights(model, config.model_config)
        seconds, read = time.monotonic() - began, read_bytes() - read_before
    kept = sum(parameter.nbytes for parameter in model.parameters())
    say(seconds=seconds, read=read, kept=kept, checksum=checksum(model))


if __name__ == "__main__":
    main()
