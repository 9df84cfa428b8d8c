"""What the plan costs: `planner_seconds`, and `speed_added_ms`, which predicted speeds add to a preview.

    python -m bench.plan [PAIRS]

The planner is the whole command `python -m planning` on the article's stack. A preview makes the plan, the stack's
output and the hints of better layouts once; a fresh process does so with the speeds and one without, in turn, and tells
the processor's time. Figures are medians, of the differences pair by pair. Written to bench/results.json.
"""

import statistics
import subprocess
import sys
import time
from unittest.mock import patch

from bench import results
from local.paths import CHECKOUT
from planning.parse import parse
from planning.plan import make_plan
from planning.settings.stack_file import read

STACK = CHECKOUT / "Pulumi.a100-bf16.yaml"
WITH, WITHOUT = "with", "without"


def main() -> None:
    """Measure, print, and add the figures to the results."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    added = [float(_command("bench.plan", WITH)) - float(_command("bench.plan", WITHOUT)) for _ in range(pairs)]
    seconds: list[float] = []
    for _ in range(pairs):
        start = time.monotonic()
        _command("planning", str(STACK))
        seconds.append(time.monotonic() - start)
    figures = {
        "planner_seconds": round(statistics.median(seconds), 2),
        "speed_added_ms": round(1000 * statistics.median(added), 1),
    }
    print(figures)
    results.add(figures)


def plan_once(what: str) -> None:
    """Print the seconds of one plan as a preview makes it."""
    settings = parse(read(STACK))
    start = time.process_time()
    plan = make_plan(settings)
    plan.summary()
    if what == WITH:
        _ = plan.hints
    print(time.process_time() - start)


def _command(module: str, argument: str) -> str:
    command = [sys.executable, "-m", module, argument]
    return subprocess.run(command, check=True, cwd=CHECKOUT, capture_output=True, text=True).stdout


if __name__ == "__main__":
    if sys.argv[1:] == [WITHOUT]:
        with patch("planning.plan.prediction_of", return_value=None):
            plan_once(WITHOUT)
    elif sys.argv[1:] == [WITH]:
        plan_once(WITH)
    else:
        main()
