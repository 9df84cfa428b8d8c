"""A plan as text for people and as JSON for programs."""

from collections.abc import Sequence

from planning.layouts.found import FEW, MANY, SOME, FoundLayout
from planning.plan import Plan
from planning.problems import Problem
from planning.release import VLLM
from planning.settings.quantities import GiB
from planning.sizing.sizes import Sizes
from planning.speed.prediction import Prediction, short
from planning.verdict.layout_checks import LAYOUT_KEYS

MOST_LAYOUTS = 12
"""That the text shows; JSON has all."""


def as_json(plan: Plan) -> dict[str, object]:
    """Everything that a program may want to know; sizes in bytes, or in GiB where the name says so."""
    return {
        "fits": plan.fits,
        "problems": problems_as_json(plan.problems),
        "warnings": plan.warnings,
        **_sizes_as_json(plan.sizes),
        "gpus": plan.gpus,
        "engines": plan.engines,
        "ranks": [
            {
                "stage": rank.stage,
                "layers": len(rank.layers),
                "firstLayer": rank.layers[0],
                "weightsGiB": round(rank.weights_bytes / GiB, 3),
                "activationsGiB": round(rank.activations_bytes / GiB, 3),
                "nonTorchGiB": round(rank.non_torch_bytes / GiB, 3),
                "cudaGraphsGiB": round(rank.graphs_bytes / GiB, 3),
                "kvCacheGiB": round(rank.kv_cache_bytes / GiB, 3),
                "kvCacheTokens": rank.kv_cache_tokens,
            }
            for rank in plan.ranks
        ],
        "kvCacheTokens": plan.kv_cache_tokens,
        "fullLengthRequests": round(plan.full_requests, 2),
        "kvCachePinned": plan.kv_cache_memory_bytes is not None,
        "kvCacheMemoryBytes": plan.kv_cache_memory_bytes,
        "vllm": VLLM,
        "weightsBytes": plan.weights_bytes,
        "diskBytes": plan.disk_bytes,
        "downloadSeconds": plan.download_seconds,
        "costPerHour": plan.cost_per_hour,
        "predicted": plan.prediction.as_json() if plan.prediction else None,
        "notPredicted": plan.not_predicted or None,
        "layouts": [_layout_as_json(layout) for layout in plan.layouts],
        "summary": plan.summary(),
    }


def refusal_as_json(problems: Sequence[Problem]) -> dict[str, object]:
    """What there is to say of a file that could not be read as a stack."""
    return {"fits": False, "problems": problems_as_json(problems), "ranks": [], "kvCacheTokens": 0, "weightsBytes": 0}


def problems_as_json(problems: Sequence[Problem]) -> list[dict[str, str]]:
    """Key, text and suggestion of each."""
    return [{"key": problem.key, "text": problem.text, "suggestion": problem.suggestion} for problem in problems]


def as_text(plan: Plan) -> str:
    """The summary, a line a stage, then what speaks against it."""
    summary = [f"{name}: {value}" for name, value in plan.summary().items()]
    stages = table(
        ["stage", "layers", "GPUs", "weights", "activations", "libraries", "CUDA graphs", "KV cache", "KV tokens"],
        [
            [
                str(rank.stage),
                f"{rank.layers[0]}-{rank.layers[-1]}",
                str(plan.sizes.expert_ranks),
                *(
                    f"{size / GiB:.2f}"
                    for size in (
                        rank.weights_bytes,
                        rank.activations_bytes,
                        rank.non_torch_bytes,
                        rank.graphs_bytes,
                        rank.kv_cache_bytes,
                    )
                ),
                f"{rank.kv_cache_tokens:,}",
            ]
            for rank in plan.ranks
        ],
    )
    parts = ["\n".join(summary)]
    if plan.ranks:
        parts.append("GiB on each GPU:\n" + stages)
    parts.append(_speeds(plan.prediction) if plan.prediction else f"No prediction of its speed: {plan.not_predicted}.")
    parts += [text for text in [layouts_as_text(plan)] if text]
    parts += [*plan.hints, *(f"note: {warning}" for warning in plan.warnings)]
    parts += [f"refused: {problem}" for problem in plan.problems]
    return "\n\n".join(parts)


def _sizes_as_json(sizes: Sizes) -> dict[str, object]:
    """Return them by the names that their keys have in the stack file."""
    return {key.removeprefix("serving."): getattr(sizes, name) for name, key in LAYOUT_KEYS.items()}


def _layout_as_json(layout: FoundLayout) -> dict[str, object]:
    sizes, rates = layout.sizes, {n: layout.tokens_per_second(n) for n in (FEW, SOME, MANY)}
    costs = {n: layout.cost_per_million(n) for n in rates}
    return {
        "own": not layout.changes,
        "change": layout.changes,
        **_sizes_as_json(sizes),
        "kvCacheDtype": layout.stack.kv_cache_dtype,
        "precision": layout.stack.precision,
        "nodes": layout.nodes,
        "gpus": sizes.gpus,
        "kvCacheTokens": layout.kv_cache_tokens,
        "fullLengthRequests": round(layout.capacity.full_requests, 2),
        "requestsAtOnce": layout.requests_at_once,
        "outputTokensPerSecond": {str(n): short(rate) for n, rate in rates.items() if rate is not None} or None,
        "costPerHour": layout.cost_per_hour,
        "costPerMillionOutputTokens": {str(n): short(cost) for n, cost in costs.items() if cost is not None} or None,
        "memoryAssumed": layout.capacity.deployment.engine.unmeasured,
    }


def layouts_as_text(plan: Plan) -> str:
    """The layouts that fit, the best for the stack's purpose and its own; empty where none is known."""
    if not plan.layouts or not plan.stack:
        return ""
    shown = [layout for n, layout in enumerate(plan.layouts) if n < MOST_LAYOUTS or not layout.changes]
    heading = ["layout", "weights", "nodes", "batched tokens", "KV cache", "KV tokens", "requests at once"]
    rows = [
        [
            f"{layout.sizes}{'' if layout.changes else '  <- this stack'}",
            layout.stack.precision,
            str(layout.nodes),
            f"{layout.capacity.deployment.engine.max_num_batched_tokens:,}",
            layout.stack.kv_cache_dtype,
            f"{layout.kv_cache_tokens:,}",
            f"{layout.requests_at_once:,}",
            *(_shown(layout.tokens_per_second(requests)) for requests in (FEW, SOME, MANY)),
            _shown(layout.cost_per_million(MANY), digits=2),
        ]
        for layout in shown
    ]
    purpose, count = plan.stack.settings.serving.purpose, f"{len(shown)} of {len(plan.layouts)}"
    lengths = f"{plan.prompt_tokens:,} tokens a prompt and {plan.answer_tokens:,} an answer"
    columns = [*heading, *(f"at {requests:,}" for requests in (FEW, SOME, MANY)), "cost a million"]
    rates = f"with predicted tokens/s at so many requests of {lengths}"
    caution = "None of these speeds was measured on such hardware: docs/layouts.md tells what was."
    of_one = " of one engine" if plan.engines > 1 else ""
    return f"Layouts{of_one} that fit, best first for {purpose} ({count}), {rates}:\n{table(columns, rows)}\n{caution}"


def _shown(number: float | None, digits: int = 0) -> str:
    return "" if number is None else f"{number:,.{digits}f}"


def _speeds(prediction: Prediction) -> str:
    """A line for each number of requests, and what is assumed."""
    speeds = table(
        ["requests", "tokens/s", "physical limit", "first token s", "each further s", "cost a million"],
        [
            [
                f"{requests:,}",
                f"{found.output_tokens_per_second:,.0f}",
                f"{prediction.limits[requests]:,.0f}",
                f"{found.time_to_first_token:.2f}",
                f"{found.time_per_output_token:.4f}",
                "" if cost is None else f"{cost:,.2f}",
            ]
            for requests, found in prediction.speeds.items()
            for cost in [prediction.cost_per_million(requests)]
        ],
    )
    start = f"{prediction.first_start_seconds:.0f} s, later {prediction.later_start_seconds:.0f} s"
    assumed = "\n".join(f"- {text}" for text in prediction.assumed)
    heading = f"Predicted for vLLM {VLLM} (docs/speed.md has its errors), the first start {start}:"
    return f"{heading}\n{speeds}\nassumed:\n{assumed}"


def table(heading: list[str], rows: list[list[str]]) -> str:
    """Columns aligned: the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in [heading, *rows]) for column in range(len(heading))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [heading, *rows]
    )
