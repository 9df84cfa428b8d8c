"""The flags of vLLM for layouts, and what supervisor and network proof are told of them."""

from typing import Any

import pytest

from components.vllm_server.vllm_arguments import layout_arguments
from planning.parse import parse
from tests.unit.planning.stacks import V3_FP8, plan, raw


def arguments(**serving: Any) -> list[str]:
    sections: dict[str, dict[str, Any]] = {
        "model": {"repository": V3_FP8},
        "hardware": {"gpu": "NVIDIA-H200", "nodes": 2},
        "serving": serving,
    }
    planned = plan(**sections)
    assert planned.fits, planned.problems
    return layout_arguments(parse(raw(**sections)).serving, planned)


def test_a_stack_without_such_keys_has_no_such_flags() -> None:
    assert arguments() == []


def test_data_parallel_ranks_are_placed_by_ray_and_as_many_as_lie_on_the_heads_node_are_said() -> None:
    """Without the last one vLLM looks for all of them on the head's node."""
    assert arguments(dataParallelSize=4) == [
        "--data-parallel-size=4",
        "--data-parallel-size-local=2",
        "--data-parallel-backend=ray",
    ]


@pytest.mark.parametrize(
    ("key", "value", "flags"),
    [
        ("expertParallel", True, ["--enable-expert-parallel"]),
        ("decodeContextParallelSize", 4, ["--decode-context-parallel-size=4"]),
        ("kvCacheDtype", "fp8", ["--kv-cache-dtype=fp8"]),
        ("speculative", 2, ["--spec-method=mtp", "--spec-tokens=2"]),
    ],
)
def test_each_key_has_its_flags(key: str, value: object, flags: list[str]) -> None:
    assert arguments(**{key: value}) == flags
