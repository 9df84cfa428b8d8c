"""What planning/speed predicts of a row of rows.json, beside what was measured."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.gpu.stack import repository_of
from planning.release import VLLM
from planning.sizing.gpus import TABLE
from planning.sizing.matrices import BF16
from planning.sizing.model_file import architecture_of
from planning.sizing.resolved import batch_defaults
from planning.speed.efficiency import FITTED, Efficiency
from planning.speed.layout import Layout, Links
from planning.speed.prediction import NETWORK_GBIT
from planning.speed.rates import Load, decode_step, prefill, speed
from planning.speed.step import Machine
from planning.speed.work import Model

ROWS = Path(__file__).parent / "rows.json"
ELSEWHERE = Path(__file__).parent / "elsewhere.json"
"""What others measured or estimated, of the whole model; `source` says who, `how` on what."""
Row = dict[str, Any]

RATE, FIRST, FURTHER = "tokens/s", "first token s", "each further s"

GPUS_PER_NODE = 8
UNLIMITED = 10**9
"""Tokens of a KV cache that limits nothing, where its size is not known."""

LONG = 64
"""Tokens of an answer from which its tokens a second tell something."""

DECODED_ANEW_SECONDS = 0.28e-6
"""Seconds in which vLLM's API server decodes a token, of which it decodes the whole prompt for each token of an answer
that has no text (rows whose tokenizer is `bytes`). From 64 requests with prompts of 4,000 tokens in 9.96 s; tokenizers
0.23.3 took 0.08 to 0.3 on another machine, twice as long for a prompt that ends within a character."""


@dataclass(frozen=True)
class Compared:
    """One load that was put on the vLLM of one row."""

    row: Row
    load: Row
    what: str
    """`RATE`, `FIRST` or `FURTHER`."""
    measured: float
    predicted: float
    decoding: bool = False
    """The API server's decoding is what is predicted to be slowest, so that the row says nothing of the GPUs."""

    @property
    def off(self) -> float:
        """0.1 for a prediction 10 % above what was measured."""
        return self.predicted / self.measured - 1


def measured_rows() -> list[Row]:
    """Return the rows of the locked vLLM that have rates, in the order in which they were measured.

    Without those of speculative decoding, which is not predicted.
    """
    rows: list[Row] = json.loads(ROWS.read_text())
    return [
        row
        for row in rows
        if row["versions"]["vllm"] == VLLM and row.get("rates") and "speculative" not in json.dumps(row["serving"])
    ]


def fitted_rows() -> list[Row]:
    """Return the row that `FITTED` is fitted to: the first one whose tokens choose experts evenly.

    What was measured after it is kept aside, so that it tells whether the prediction holds.
    """
    return [row for row in measured_rows() if row.get("routing")][:1]


def divided_rows() -> list[Row]:
    """Return the rows that `Efficiency.divided_request` alone is fitted to: their ranks divide the KV cache."""
    return [row for row in measured_rows() if row["serving"].get("decodeContextParallelSize", 1) > 1]


def kept_aside() -> list[Row]:
    """Return the other ones: a pipeline, more layers, another GPU, a router that sends all tokens to 8 experts."""
    fitted = [*fitted_rows(), *divided_rows(), *shared_rows()]
    return [row for row in measured_rows() if row not in fitted]


def shared_rows() -> list[Row]:
    """Return those that were measured while another vLLM started on the same machine: their rates tell less."""
    return [row for row in measured_rows() if row.get("shared")]


def elsewhere() -> list[Row]:
    """Return the rows of others."""
    return json.loads(ELSEWHERE.read_text())


def compared(row: Row, efficiency: Efficiency = FITTED) -> list[Compared]:
    """Every rate of a row. A time to the first token counts where one request was alone."""
    return [found for load in row["rates"] for found in _of_load(row, load, machine_of(row, efficiency))]


def _of_load(row: Row, load: Row, machine: Machine) -> list[Compared]:
    asked, requests = load_of(row, load), int(load["at_once"])
    context = asked.prompt_tokens + asked.answer_tokens / 2
    anew = DECODED_ANEW_SECONDS * context if row.get("tokenizer") == "bytes" else 0.0
    found: list[Compared] = []
    if asked.answer_tokens >= LONG:
        rate = speed(machine, asked, requests).output_tokens_per_second
        measured = load["output_tokens_per_second"]
        found.append(Compared(row, load, RATE, measured, min(rate, 1 / anew) if anew else rate, rate * anew > 1))
    first = load.get("time_to_first_token_seconds")
    if first and requests == 1:
        found.append(Compared(row, load, FIRST, first, prefill(machine, asked, 1)))
        if asked.answer_tokens < LONG:
            step = decode_step(machine, asked, 1)
            found.append(Compared(row, load, FURTHER, load["time_per_token_seconds"], max(step, anew), anew > step))
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
        kv_cache_tokens=row.get("kv_tokens", UNLIMITED) * serving.get("dataParallelSize", 1),
    )


def machine_of(row: Row, efficiency: Efficiency = FITTED) -> Machine:
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
        gpus_per_node=min(GPUS_PER_NODE, tensor * pipeline * data),
    )
    rates = TABLE[product(row)].rates
    if rates is None:
        raise ValueError(f"planning/sizing/gpus.py has no rates of {product(row)}: add them")
    element = 1 if str(serving.get("kvCacheDtype", "auto")).startswith("fp8") else BF16
    architecture = replace(architecture_of(repository_of(row)), num_hidden_layers=row["layers"])
    model = Model(architecture, row["precision"], element, "even" if row.get("routing") else "same")
    links = Links.of(rates, layout, NETWORK_GBIT)
    return Machine(model, layout, rates, links, efficiency, serving.get("enforceEager", False))


def product(row: Row) -> str:
    """The row's GPU by its node label."""
    return row["gpu"]["name"].replace(" ", "-")
