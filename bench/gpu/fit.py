"""Fit planning/speed/efficiency.py to rows: `python -m bench.gpu.fit` prints the four numbers that are fitted.

They are those with the least sum of squared logarithms of predicted / measured over `fitted_rows`, found by trying.
"""

import math
import random
from dataclasses import replace

from bench.gpu.predicted import RATE, Row, compared, fitted_rows
from planning.speed.efficiency import FITTED, Efficiency

NUMBERS = ("experts_memory", "math", "prompt_layer", "step")
TRIES = 3000
FIRST_STRIDE, LAST_STRIDE = 0.3, 0.01
"""How far a try is from the best one: the standard deviation of a number's logarithm."""
MOST = 0.9
"""Share of a rate above which nothing is believed."""


def main() -> None:
    """Fit and print."""
    found = fitted(FITTED, fitted_rows())
    for number in NUMBERS:
        print(f"{number} = {getattr(found, number):.2g}")


def fitted(start: Efficiency, rows: list[Row]) -> Efficiency:
    """Return the efficiency that is nearest to the rows; what is not fitted stays as it is in `start`."""
    source = random.Random(0)  # noqa: S311 - the same each time
    best, least = start, distance(start, rows)
    for number in range(TRIES):
        stride = FIRST_STRIDE * (LAST_STRIDE / FIRST_STRIDE) ** (number / TRIES)
        changed = source.sample(NUMBERS, source.randint(1, len(NUMBERS)))
        tried = replace(best, **{name: getattr(best, name) * math.exp(source.gauss(0, stride)) for name in changed})
        if max(tried.experts_memory, tried.math) > MOST:
            continue
        found = distance(tried, rows)
        if found < least:
            best, least = tried, found
    return best


def distance(efficiency: Efficiency, rows: list[Row]) -> float:
    """Sum of squared logarithms, without the loads that say nothing of the GPUs.

    The rate of one request is left out too: the times to its tokens say the same.
    """
    every = [found for row in rows for found in compared(row, efficiency) if not found.decoding]
    counted = [found for found in every if found.what != RATE or found.load["at_once"] > 1]
    return sum(math.log(found.predicted / found.measured) ** 2 for found in counted)


if __name__ == "__main__":
    main()
