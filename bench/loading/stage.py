"""One pipeline stage that loads its part of a checkpoint: `python stage.py MODEL RANK STAGES PORT`.

It runs where vLLM 0.32 is installed, on the GPU of its rank where that vLLM is for GPUs. It prints a line of JSON when
it is ready, and then loads for each line that it reads, which names a load format, and prints another line: seconds,
bytes that storage has sent for it (`read_bytes` of /proc/self/io), bytes of the parameters that it keeps, and a
checksum of them.
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from vllm.config import set_current_vllm_config
from vllm.distributed import init_distributed_environment, initialize_model_parallel
from vllm.engine.arg_utils import EngineArgs
from vllm.model_executor.model_loader import get_model_loader
from vllm.model_executor.model_loader.utils import initialize_model
from vllm.platforms import current_platform
from vllm.plugins import load_general_plugins
from vllm.utils.torch_utils import set_default_torch_dtype

PIECE = 1 << 27
PRIME = (1 << 61) - 1


def read_bytes() -> int:
    """Return the bytes that storage has sent for this process."""
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["read_bytes"])


def checksum(model: torch.nn.Module) -> int:
    """Return a number that tells other parameters apart, and their order."""
    found = 0
    for parameter in model.parameters():
        words = parameter.detach().view(torch.uint8).flatten().view(torch.int32)
        for piece in words.split(PIECE):
            places = torch.arange(1, len(piece) + 1, dtype=torch.int32, device=piece.device)
            found = (31 * found + int((piece * places).sum(dtype=torch.int64))) % PRIME
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
    device = current_platform.device_type
    if device == "cuda":
        torch.cuda.set_device(int(rank))
    with set_current_vllm_config(config):
        backend = current_platform.dist_backend
        init_distributed_environment(int(stages), int(rank), f"tcp://127.0.0.1:{port}", int(rank), backend=backend)
        initialize_model_parallel(1, int(stages))
        with set_default_torch_dtype(torch.bfloat16), torch.device(device):
            model = initialize_model(vllm_config=config)
        say(ready=True)
        for line in sys.stdin:
            loader = get_model_loader(replace(config.load_config, load_format=line.strip()))
            for parameter in model.parameters():
                parameter.data.zero_()
            began, read_before = time.monotonic(), read_bytes()
            loader.load_weights(model, config.model_config)
            if device == "cuda":
                torch.cuda.synchronize()
            seconds, read = time.monotonic() - began, read_bytes() - read_before
            kept = sum(parameter.nbytes for parameter in model.parameters())
            say(seconds=seconds, read=read, kept=kept, checksum=checksum(model))


if __name__ == "__main__":
    main()
