"""What is predicted of a deployment, and what is assumed for that."""

import math
from dataclasses import dataclass, replace

from planning.release import VLLM
from planning.sizing.gpus import Rates
from planning.sizing.resolved import Deployment
from planning.speed.efficiency import FITTED, FITTED_TO, OFF_BY, PERFECT
from planning.speed.layout import Layout, Links
from planning.speed.rates import Load, Speed, limit, speed
from planning.speed.start import READ_GB, start_seconds
from planning.speed.step import Machine
from planning.speed.work import Model

REQUESTS = (1, 16, 64, 256, 1024)
"""At once."""
SHOWN = 64
"""The number of requests that stands in the stack's output."""
RATE, COST_OF_TOKENS = f"tokens/s at {SHOWN} requests", "cost per million output tokens"
"""Their names there."""
TOKENS = 1024
"""Of a prompt and of an answer, unless told. Public figures are mostly given for these, and a chat has both."""
NETWORK_GBIT = 100
"""Of a node, where the stack file does not say. Assumed: one network card."""
MEASURED_ON = "NVIDIA-H100-80GB-HBM3", "NVIDIA-H200"
SECONDS_OF_AN_HOUR = 3600


@dataclass(frozen=True)
class Prediction:
    """What is predicted of the whole stack, by the number of requests at once."""

    prompt_tokens: int
    answer_tokens: int
    speeds: dict[int, Speed]
    limits: dict[int, float]
    """Output tokens a second that these GPUs cannot exceed."""
    first_start_seconds: float
    """Seconds until the first server is ready, which also compiles its kernels."""
    later_start_seconds: float
    assumed: list[str]
    cost_per_hour: float | None = None

    def cost_per_million(self, requests: int) -> float | None:
        """Cost of a million output tokens at so many requests; None where the price is not known."""
        if self.cost_per_hour is None:
            return None
        return self.cost_per_hour / SECONDS_OF_AN_HOUR / self.speeds[requests].output_tokens_per_second * 1e6

    def as_json(self) -> dict[str, object]:
        """Under stable names; objects have the number of requests as their keys."""
        costs = {str(n): self.cost_per_million(n) for n in self.speeds}
        return {
            "promptTokens": self.prompt_tokens,
            "answerTokens": self.answer_tokens,
            "outputTokensPerSecond": {
                str(n): short(found.output_tokens_per_second) for n, found in self.speeds.items()
            },
            "physicalLimitTokensPerSecond": {str(n): short(found) for n, found in self.limits.items()},
            "timeToFirstTokenSeconds": {str(n): short(found.time_to_first_token) for n, found in self.speeds.items()},
            "timePerOutputTokenSeconds": {
                str(n): short(found.time_per_output_token) for n, found in self.speeds.items()
            },
            "costPerMillionOutputTokens": None
            if self.cost_per_hour is None
            else {n: short(cost) for n, cost in costs.items() if cost is not None},
            "startSeconds": round(self.first_start_seconds),
            "laterStartSeconds": round(self.later_start_seconds),
            "assumed": self.assumed,
        }

    def caution(self) -> str:
        """One sentence for a reader of the rates, and one on how far off they may be."""
        least, most = (f"{round(100 * off):+d} %" for off in OFF_BY)
        return (
            f"Tokens/s and cost per million tokens are predicted for vLLM {VLLM}, with {self.prompt_tokens:,} tokens a "
            f"prompt and {self.answer_tokens:,} an answer. Where tokens/s were measured, on 2 GPUs at the most, the "
            f"prediction was off by {least} to {most} (docs/speed.md)."
        )

    def summary(self) -> dict[str, str | int | float]:
        """Two lines of the stack's output `plan`."""
        rate = self.speeds[SHOWN].output_tokens_per_second
        lines: dict[str, str | int | float] = {RATE: short(rate)}
        cost = self.cost_per_million(SHOWN)
        return lines if cost is None else {**lines, COST_OF_TOKENS: short(cost)}


def predict(
    deployment: Deployment,
    layout: Layout,
    load: Load,
    *,
    network_gbit: float | None = None,
    cost_per_hour: float | None = None,
    node_bytes: int,
) -> Prediction | None:
    """Predict the speed of a deployment, once for each engine; None where the rates of its GPU are not known.

    `network_gbit` is what a node has to other nodes, None where that is not known; `node_bytes` are the weights that
    one node reads at a start.
    """
    engine = deployment.engine
    machine = machine_of(deployment, layout, network_gbit)
    if machine is None:
        return None
    perfect = replace(machine, efficiency=PERFECT)
    layers = max(dense + moe for dense, moe, _ in machine.stages)
    first, later = (
        start_seconds(
            layers=layers,
            precision=deployment.precision,
            node_bytes=node_bytes,
            eager=engine.enforce_eager,
            first=first,
        )
        for first in (True, False)
    )
    return Prediction(
        prompt_tokens=load.prompt_tokens,
        answer_tokens=load.answer_tokens,
        speeds={requests: _speed_of_engines(machine, load, requests, layout.engines) for requests in REQUESTS},
        limits={
            requests: busy * limit(perfect, load, each)
            for requests in REQUESTS
            for busy, each in [_divided(requests, layout.engines)]
        },
        first_start_seconds=first,
        later_start_seconds=later,
        assumed=_assumed(deployment, layout, load, machine.rates, network_known=network_gbit is not None),
        cost_per_hour=cost_per_hour,
    )


def _speed_of_engines(machine: Machine, load: Load, requests: int, engines: int) -> Speed:
    busy, each = _divided(requests, engines)
    of_one = speed(machine, load, each)
    return replace(of_one, output_tokens_per_second=busy * of_one.output_tokens_per_second)


def _divided(requests: int, engines: int) -> tuple[int, int]:
    """Return how many engines have requests, and how many each of them has at most."""
    busy = min(requests, engines)
    return busy, math.ceil(requests / busy)


def machine_of(deployment: Deployment, layout: Layout, network_gbit: float | None) -> Machine | None:
    """Return the GPUs with the model on them; None where their rates are not known."""
    gpu, engine = deployment.gpu, deployment.engine
    if gpu.rates is None:
        return None
    model = Model(deployment.architecture, deployment.precision, engine.kv_cache_element_bytes)
    links = Links.of(gpu.rates, layout, network_gbit or NETWORK_GBIT)
    return Machine(model, layout, gpu.rates, links, FITTED, engine.enforce_eager)


def _assumed(deployment: Deployment, layout: Layout, load: Load, rates: Rates, *, network_known: bool) -> list[str]:
    found = [
        f"prompts of {load.prompt_tokens:,} and answers of {load.answer_tokens:,} tokens, no prompt cached",
        "when a request is answered, the next one comes",
        "tokens choose experts evenly, which was not measured",
        f"how much of its rates a GPU reaches: fitted to {FITTED_TO}, at the most 2 GPUs measured (docs/speed.md)",
        f"a node reads the weights with {READ_GB} GB/s",
    ]
    if deployment.gpu.product not in MEASURED_ON:
        found.append(f"{deployment.gpu.product} reaches as much of its rates as H100 and H200")
    if deployment.precision == "fp8" and rates.fp8_tflops is None:
        found.append("unpacking FP8 weights costs no time")
    if layout.nodes > 1 and not network_known:
        found.append(f"{NETWORK_GBIT} Gbit/s from a node to the others, because network.bandwidth is unset")
    if layout.gpus > 2:
        found.append("collectives of more than 2 GPUs take as long as those of 2, and their bytes in addition")
    return found


def short(value: float) -> float:
    """Round to three significant digits: more are not known."""
    rounded = float(f"{value:.3g}")
    return int(rounded) if rounded >= 100 else rounded
