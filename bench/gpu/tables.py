"""The tables of docs/speed.md, from rows.json; `python -m tests.recorders.record_speed` writes them into the page."""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bench.gpu.predicted import (
    FIRST,
    FURTHER,
    RATE,
    Compared,
    Row,
    compared,
    divided_rows,
    elsewhere,
    fitted_rows,
    kept_aside,
    shared_rows,
)

PAGE = Path(__file__).parents[2] / "docs" / "speed.md"
BLOCK = re.compile(r"(<!-- recorded: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
MINUS = "\N{MINUS SIGN}"
BOUND = " (decoding)"
"""Behind a prediction that is of the API server's decoding and not of the GPUs."""


KINDS = {FIRST: "first", FURTHER: "each further"}
"""Tokens of an answer."""


def page(text: str) -> str:
    """Return the page with every recorded table as it follows from the data."""
    return BLOCK.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}\n{found[3]}", text)


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown; what follows the first column stands on the right."""
    ruler = ["---", *["---:" for _ in head[1:]]]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ruler, *lines))


def percent(off: float) -> str:
    """`+6 %`, with the sign of a number."""
    rounded = round(100 * off)
    return f"{MINUS if rounded < 0 else '+' if rounded else ''}{abs(rounded)} %"


def _rates(rows: Sequence[Row]) -> str:
    found = [item for row in rows for item in compared(row) if item.what == RATE]
    lines = [
        (_machine(item), f"{item.load['at_once']:,}", _prompt(item), f"{item.measured:,.0f}", *_off(item))
        for item in found
    ]
    return table(("GPUs, layout, layers", "requests", "prompt", "tokens/s measured", "predicted", "off"), lines)


def _elsewhere(rows: Sequence[Row]) -> str:
    lines = [
        (row["source"], row["how"], f"{item.load['at_once']:,}", _lengths(item), f"{item.measured:,.0f}", *_off(item))
        for row in rows
        for item in compared(row)
    ]
    return table(("source", "GPUs, layout", "requests", "prompt / answer", "tokens/s", "predicted", "off"), lines)


def _times(rows: Sequence[Row]) -> str:
    found = [item for row in rows for item in compared(row) if item.what in KINDS]
    lines = [
        (_machine(item), _prompt(item), KINDS[item.what], f"{1000 * item.measured:.3g}", *_off(item)) for item in found
    ]
    return table(("GPUs, layout, layers", "prompt", "token", "ms measured", "predicted", "off"), lines)


def _machine(found: Compared) -> str:
    name, serving = found.row["gpu"]["name"].split()[1], found.row["serving"]
    sizes = {"TP": serving.get("tensorParallelSize", 1), "PP": serving.get("pipelineParallelSize", 1)}
    sizes |= {"DP": serving.get("dataParallelSize", 1)}
    gpus = math.prod(sizes.values())
    sizes |= {"DCP": serving.get("decodeContextParallelSize", 1)}
    layout = "".join(f", {size} {count}" for size, count in sizes.items() if count > 1)
    layout += ", EP" if serving.get("expertParallel") else ""
    layout += ", eager" if serving.get("enforceEager") else ""
    layout += f", batches of {tokens:,}" if (tokens := serving.get("maxNumBatchedTokens")) else ""
    return f"{gpus} × {name}{layout}, {found.row['layers']}"


def _prompt(found: Compared) -> str:
    return f"{found.load['prompt_tokens']:,}"


def _lengths(found: Compared) -> str:
    return f"{_prompt(found)} / {found.load['answer_tokens']:,}"


def _off(found: Compared) -> tuple[str, str]:
    """What was predicted, and by how much it is off."""
    value = f"{found.predicted:,.0f}" if found.what == RATE else f"{1000 * found.predicted:.3g}"
    return value + BOUND if found.decoding else value, percent(found.off)


TABLES: dict[str, Callable[[], str]] = {
    "fitted-rates": lambda: _rates(fitted_rows()),
    "fitted-times": lambda: _times(fitted_rows()),
    "divided-rates": lambda: _rates(divided_rows()),
    "divided-times": lambda: _times(divided_rows()),
    "aside-rates": lambda: _rates(kept_aside()),
    "shared-rates": lambda: _rates(shared_rows()),
    "shared-times": lambda: _times(shared_rows()),
    "elsewhere": lambda: _elsewhere(elsewhere()),
    "aside-times": lambda: _times(kept_aside()),
}
"""By the name that the page has for them."""
