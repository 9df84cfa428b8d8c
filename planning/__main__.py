"""Plans a stack file from the command line; see `--help`."""

import argparse
import json
import sys
from pathlib import Path

from planning.compare import comparison
from planning.parse import parse
from planning.plan import make_plan
from planning.problems import Problem, Refused
from planning.render import as_json, as_text, layouts_as_text, refusal_as_json
from planning.settings.sections import StackSettings
from planning.settings.stack_file import read
from planning.sizing.resolved import ResolvedStack
from planning.speed.prediction import TOKENS
from planning.verdict.checks import problems_of

FITS, REFUSED = 0, 2
MOST_TOKENS = 1_000_000_000


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 for a stack that fits, 2 for one that is refused or cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m planning", description="What a stack needs, holds, and what speaks against it."
    )
    parser.add_argument("stack_file", type=Path, help="Pulumi.<stack>.yaml")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="for programs")
    output.add_argument("--compare", action="store_true", help="the stack's model across GPU types and counts")
    for part in ("prompt", "answer"):
        parser.add_argument(
            f"--{part}-tokens",
            type=_tokens,
            default=TOKENS,
            metavar="N",
            help=f"tokens of {'a prompt' if part == 'prompt' else 'an answer'} for which the speed is predicted "
            f"({TOKENS:,} if not given)",
        )
    options = parser.parse_args(arguments)
    try:
        settings = parse(read(options.stack_file))
    except Refused as refused:
        print(json.dumps(refusal_as_json(refused.problems), indent=2, ensure_ascii=False) if options.json else refused)
        return REFUSED
    if options.compare:
        return _compare(settings)
    plan = make_plan(settings, prompt_tokens=options.prompt_tokens, answer_tokens=options.answer_tokens)
    print(json.dumps(as_json(plan), indent=2, ensure_ascii=False) if options.json else as_text(plan))
    return FITS if plan.fits else REFUSED


def _tokens(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:10]) <= MOST_TOKENS):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of tokens from 1 to {MOST_TOKENS:,}")
    return int(text)


def _compare(settings: StackSettings) -> int:
    stack = ResolvedStack(settings)
    problems = [problem for problem in problems_of(stack) if problem.key.startswith(("model.", "serving.extraArgs"))]
    if stack.architecture is None and not problems:
        problems = [
            Problem("model.repository", "is not a model whose sizes are known", "a stack on GPUs, such as a100-bf16")
        ]
    if problems:
        print(Refused(problems))
    else:
        layouts = layouts_as_text(make_plan(settings))
        print(*[text for text in (layouts, comparison(settings)) if text], sep="\n")
    return REFUSED if problems else FITS


if __name__ == "__main__":
    sys.exit(main())
