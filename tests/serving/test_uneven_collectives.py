"""The image's collectives for data-parallel ranks, over Gloo between two processes on loopback in a pod."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.serving import vllm_parser

RANKS = Path(__file__).with_name("uneven_ranks.py")
TIMEOUT_SECONDS = 300

OF_0, OF_1 = [[0, 1]], [[100, 101], [110, 111], [120, 121]]
SUMS = [[100, 102], [120, 122], [140, 142], [160, 162]]
"""Row by row, of rank 0's [0, 1], [10, 11], … and rank 1's [100, 101], …"""


@pytest.mark.usefixtures("served")
def test_rows_are_gathered_and_sums_are_scattered_in_the_order_of_the_ranks() -> None:
    command = [*vllm_parser.in_pod(), "-c", RANKS.read_text(encoding="utf-8")]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT_SECONDS)
    found: list[dict[str, Any]] = json.loads(run.stdout.splitlines()[-1])
    scattered = {"scattered": (SUMS[:1], SUMS[1:]), "scattered evenly": (SUMS[:2], SUMS[2:])}
    for rank, cases in enumerate(found):
        assert cases == {
            "gathered": OF_0 + OF_1,
            "gathered as bfloat16": OF_0 + OF_1,
            "gathered columns": OF_0 + OF_1,
            "gathered evenly": [[0, 1], [10, 11], *OF_1[:2]],
            "gathered of rank 1 alone": OF_1[:2],
            **{case: parts[rank] for case, parts in scattered.items()},
            "scattered columns": scattered["scattered"][rank],
        }
    assert len(found) == 2
