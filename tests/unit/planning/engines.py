"""Engines for tests to which only some of the numbers matter."""

from dataclasses import replace
from typing import Any

from planning.sizing.engine import Engine


def engine(tensor: int, pipeline: int = 1, **numbers: Any) -> Engine:
    """Return one with these sizes and numbers."""
    plain = Engine(
        tensor_parallel_size=tensor,
        pipeline_parallel_size=pipeline,
        max_model_len=16384,
        max_num_batched_tokens=2048,
        max_num_seqs=256,
        enforce_eager=False,
    )
    return replace(plain, **numbers)
