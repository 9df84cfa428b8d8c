"""What planning/speed predicts of a row of rows.json, beside what was measured."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from planning.release import VLLM
from planning.sizing.gpus import TABLE
from planning.sizing.matrices import BF16
from planning.sizing.model_file import architecture_of
from planning.sizing.resolved import batch_defaults
from planning.speed.efficiency import ESTIMATED, Efficiency
from planning.speed.layout import Layout, Links
from planning.speed.prediction import NETWORK_GBIT
from planning.speed.rates import Load, decode_step, prefill, speed
from planning.speed.step import Machine
from planning.speed.work import Model

ROWS = Path(__file__).parent / "rows.json"
Row = dict[str, Any]


@dataclass(frozen=True)
class Compared:
    """One load that was put on the vLLM of one row."""

    row: Row
    load: Row
    what: str
    """`tokens/s` or `first token s`."""
    measured: float
    predicted: float

    @property
    def off(self) -> float:
        """0.1 for a prediction 10 % above what was measured."""
        return self.predicted / self.measured - 1


def measured_rows() -> list[Row]:
    """Return the rows of the locked vLLM that have rates, in the order in which they were measured."""
    rows: list[Row] = json.loads(ROWS.read_text())
    return [row for row in rows if row["versions"]["vllm"] == VLLM and row.get("rates")]


def halves(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Return the rows to fit to, and those that are kept aside: every second one of each."""
    return list(rows[::2]), list(rows[1::2])


def compared(row: Row, efficiency: Efficiency = ESTIMATED) -> list[Compared]:
    """Every rate of a row. A time to the first token counts where one request was alone."""
    machine = machine_of(row, efficiency)
    found: list[Compared] = []
    for load in row["rates"]:
        asked = load_of(row, load)
        requests = int(load["at_once"])
        alone = requests == 1 and load.get("time_to_first_token_seconds")
        if load["answer_tokens"] >= 64:
            predicted = speed(machine, asked, requests).output_tokens_per_second
            found.append(Compared(row, load, "tokens/s", load["output_tokens_per_second"], predicted))
        if alone:
            first = prefill(machine, asked, 1)
            found.append(Compared(row, load, "first token s", load["time_to_first_token_seconds"], first))
            if load["answer_tokens"] < 64:
                step = decode_step(machine, asked, 1)
                found.append(Compared(row, load, "each further s", load["time_per_token_seconds"], step))
    return found


def load_of(row: Row, load: Row) -> Load:
    """The load in the terms of the prediction."""
    serving: Row = row["serving"]
    tokens, requests = batch_defaults(TABLE[product(row)])
    return Load(
        prompt_tokens=int(load["prompt_tokens"]),
        answer_tokens=int(load["answer_tokens"]),
        max_num_batched_tokens=serving.get("maxNumBatchedTokens", tokens),
        max_num_seqs=requests,
        kv_cache_tokens=row["kv_tokens"] * serving.get("dataParallelSize", 1),
    )


def machine_of(row: Row, efficiency: Efficiency = ESTIMATED) -> Machine:
    """The GPUs of the row with its model. Rows without `routing` had all tokens go to the same experts."""
    serving: Row = row["serving"]
    tensor, pipeline = serving.get("tensorParallelSize", 1), serving.get("pipelineParallelSize", 1)
    data = serving.get("dataParallelSize", 1)
    layout = Layout(
        tensor_parallel_size=tensor,
        pipeline_parallel_size=pipeline,
        data_parallel_size=data,
        expert_parallel=serving.get("expertParallel", False),
        decode_context_parallel_size=serving.get("decodeContextParallelSize", 1),
        gpus_per_node=tensor * pipeline * data,
    )
    rates = TABLE[product(row)].rates
    if rates is None:
        raise ValueError(f"planning/sizing/gpus.py has no rates of {product(row)}: add them")
    element = 1 if str(serving.get("kvCacheDtype", "auto")).startswith("fp8") else BF16
    architecture = replace(architecture_of("deepseek-ai/DeepSeek-V3"), num_hidden_layers=row["layers"])
    model = Model(architecture, row["precision"], element, "even" if row.get("routing") else "same")
    links = Links.of(rates, layout, NETWORK_GBIT)
    return Machine(model, layout, rates, links, efficiency, serving.get("enforceEager", False))


def product(row: Row) -> str:
    """The row's GPU by its node label."""
    return row["gpu"]["name"].replace(" ", "-")
