"""Renders a recorded preview as the comment that reviewers read; see `python -m planning.review --help`."""

import argparse
import json
import re
import sys
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path

from planning.plan import make_plan
from planning.review.effects import changes_something, effects
from planning.review.markdown import cell, code, fenced, word
from planning.review.measured import measured
from planning.review.preview import (
    CREATED,
    DELETED,
    OPERATIONS,
    REPLACED,
    SAME,
    UPDATED,
    NotAPreviewError,
    Preview,
    Step,
    read,
)
from planning.speed.prediction import COST_OF_TOKENS, RATE

HEADLINE = ("GPUs", "KV tokens", "longest request", "weights", "cost an hour", RATE, COST_OF_TOKENS)
"""Of the plan, what stands in one line above the table when it changes."""

ORDER = (DELETED, REPLACED, UPDATED, CREATED)
PATHS_SHOWN, KEYS_SHOWN, KEY_CHARACTERS = 4, 20, 80
WARNINGS_CHARACTERS, RESOURCES_CHARACTERS = 10_000, 30_000
"""A comment on GitHub holds 65,536."""

WITHOUT_STATE = "The state of the stack was not available: everything is shown as if nothing existed yet."

LEFT_OUT = "Left out of this preview, because a pull request does not decide it:"

NO_NAME = re.compile(r"[^A-Za-z0-9_.-]")
"""What the name of a stack does not hold."""

PlanJson = Mapping[str, object]


def marker(stack: str) -> str:
    """Return the invisible first line by which the comment of a stack is found again."""
    return f"<!-- deepseek-on-kubernetes preview of {NO_NAME.sub('_', stack)} -->"


def comment(preview: Preview, stack: str = "", *, without_state: bool = False, left_out: Sequence[str] = ()) -> str:
    """Return the Markdown: the plan, what was measured, what happens to serving, what speaks against it, resources.

    `left_out` names the keys of the pull request's stack file that were previewed as in the base branch.
    """
    settings = preview.settings
    plan = make_plan(settings) if settings else None
    before, after = preview.plan_before, plan.summary() if plan else {}
    errors, warnings = preview.said("error"), preview.said("warning")
    name = stack or preview.stack
    parts = [
        f"{marker(name)}\n### Preview of {code(name)}",
        headline(before, after) if changes_something(preview.steps) else "",
        plan_table(before, after),
        plan.prediction.caution() if plan and plan.prediction else "",
        measured(preview.benchmark_before, settings),
    ]
    if errors:
        parts += [
            "**Refused:** `pulumi up` ends here, with nothing created, changed or deleted.",
            fenced("\n\n".join(errors)),
        ]
    else:
        parts += effects(preview.steps, settings)
    parts.append("\n".join(_within(WARNINGS_CHARACTERS, [f"- warning: {code(text)}" for text in warnings])))
    if plan and not errors:
        parts.append("\n".join(f"- {code(hint)}" for hint in plan.hints))
    if left_out:
        parts.append(f"{LEFT_OUT} {', '.join(code(key, KEY_CHARACTERS) for key in left_out[:KEYS_SHOWN])}.")
    if without_state:
        parts.append(WITHOUT_STATE)
    if not errors:
        parts.append(resources(preview))
    return "\n\n".join(part for part in parts if part) + "\n"


def no_preview(stack: str, reason: str) -> str:
    """Return the comment for a preview that never began."""
    return (
        f"{marker(stack)}\n### Preview of {code(stack)}\n\n**There is no preview.** "
        f"The log of this check has what `pulumi preview` said.\n\n{fenced(reason)}\n"
    )


def headline(before: PlanJson, after: PlanJson) -> str:
    """Return `KV tokens 1,532,208 → 900,000` and the like; empty when none of these changes."""
    changes = [key for key in HEADLINE if before and after and _differs(before, after, key)]
    return " · ".join(f"**{key} {_cell(before, key)} → {_cell(after, key) or '-'}**" for key in changes)


def plan_table(before: PlanJson, after: PlanJson) -> str:
    """Return the plan as it is and as it will be, changed rows in bold; empty when neither is known."""
    keys = list(dict.fromkeys([*after, *before]))
    if not keys:
        return ""
    if not before:
        rows = [f"| {word(key)} | {_cell(after, key)} |" for key in keys]
        return "\n".join(["| plan | |", "|---|---:|", *rows])
    lines = ["| plan | now | after |", "|---|---:|---:|"]
    for key in keys:
        old, new = _cell(before, key), _cell(after, key)
        changed = after and _differs(before, after, key)
        name = word(key)
        lines.append(f"| **{name}** | {old} | **{new or '-'}** |" if changed else f"| {name} | {old} | {new} |")
    return "\n".join(lines)


def resources(preview: Preview) -> str:
    """Return the resources by operation, collapsed."""
    changed = [step for step in preview.steps if step.operation != SAME]
    operations = [*ORDER, *sorted({step.operation for step in changed} - set(ORDER))]
    counts = _counts(preview)
    title = ", ".join(f"{counts[operation]} {operation}" for operation in (*operations, SAME) if operation in counts)
    lines = [
        f"- {operation}: {_resource(step)}"
        for operation in operations
        for step in changed
        if step.operation == operation
    ]
    if not lines:
        return ""
    shown = _within(RESOURCES_CHARACTERS, lines)
    return "\n".join([f"<details><summary>Resources: {title}</summary>", "", *shown, "", "</details>"])


def _within(characters: int, lines: Sequence[str]) -> list[str]:
    """The first lines, as many as fit, and how many more there are."""
    ends = list(accumulate(len(line) + 1 for line in lines))
    fitting = bisect_right(ends, characters)
    more = [f"- … and {len(lines) - fitting} more"] if fitting < len(lines) else []
    return [*lines[:fitting], *more]


def _counts(preview: Preview) -> dict[str, int]:
    counts: dict[str, int] = {}
    for op, count in preview.change_summary.items():
        operation = OPERATIONS.get(op, op)
        counts[operation] = counts.get(operation, 0) + count
    return counts


def _resource(step: Step) -> str:
    paths = sorted(step.detailed_diff)
    shown = ", ".join(code(path) for path in paths[:PATHS_SHOWN])
    more = f" and {len(paths) - PATHS_SHOWN} more" if len(paths) > PATHS_SHOWN else ""
    reasons = f", for {shown}{more}" if paths else ""
    return f"{word(step.kind)} {code(step.name)}{reasons}" + (" (the old object stays)" if step.stays else "")


def _differs(before: PlanJson, after: PlanJson, key: str) -> bool:
    return _cell(before, key) != _cell(after, key)


def _cell(plan: PlanJson, key: str) -> str:
    value = plan.get(key, "")
    # The engine keeps every number as a float and writes 5.0 as 5.
    return f"{value:,.10g}" if isinstance(value, int | float) else cell(str(value))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the comment; exit code 0, or 2 when there is no preview to render, which the comment then says."""
    parser = argparse.ArgumentParser(
        prog="python -m planning.review", description="A preview as Markdown for the people who review it."
    )
    parser.add_argument("preview", type=Path, help="what `pulumi preview --json` wrote to standard output")
    parser.add_argument("--stack", default="", help="its name, for a preview that ended before it said so")
    parser.add_argument("--without-state", action="store_true", help="say that the state was not available")
    parser.add_argument(
        "--left-out", type=Path, help="the list of keys that `python -m planning.review.proposal` wrote"
    )
    options = parser.parse_args(arguments)
    try:
        preview = read(options.preview.read_text(encoding="utf-8"))
    except (NotAPreviewError, OSError, UnicodeDecodeError) as reason:
        sys.stdout.write(no_preview(options.stack, f"{options.preview}: {reason}"))
        return 2
    left_out: list[str] = json.loads(options.left_out.read_text(encoding="utf-8")) if options.left_out else []
    sys.stdout.write(comment(preview, options.stack, without_state=options.without_state, left_out=left_out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
