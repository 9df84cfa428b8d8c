"""Fit planning/speed/efficiency.py to rows: `python -m bench.gpu.fit` prints the numbers that are fitted.

They are those with the least sum of squared logarithms of predicted / measured over their rows, found by trying.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from bench.gpu.predicted import RATE, Row, compared, divided_rows, fitted_rows
from planning.speed.efficiency import FITTED, Efficiency

FITS: dict[str, Callable[[], list[Row]]] = {
    **dict.fromkeys(("experts_memory", "math", "prompt_layer", "step"), fitted_rows),
    "divided_request": divided_rows,
}
"""The numbers, and the rows that each is fitted to."""
TRIES = 3000
FIRST_STRIDE, LAST_STRIDE = 0.3, 0.01
"""How far a try is from the best one: the standard deviation of a number's logarithm."""
MOST = 0.9
"""Share of a rate above which nothing is believed."""


def main() -> None:
    """Fit and print."""
    found = FITTED
    for rows in dict.fromkeys(FITS.values()):
        found = fitted(found, [number for number, of in FITS.items() if of is rows], rows())
    for number in FITS:
        print(f"{number} = {getattr(found, number):.2g}")


def fitted(start: Efficiency, numbers: Sequence[str], rows: list[Row]) -> Efficiency:
    """Return the efficiency that is nearest to the rows; only `numbers` differ from `start`."""
    source = random.Random(0)  # noqa: S311 - the same each time
    best, least = start, distance(start, rows)
    for number in range(TRIES):
        stride = FIRST_STRIDE * (LAST_STRIDE / FIRST_STRIDE) ** (number / TRIES)
        changed = source.sample(numbers, source.randint(1, len(numbers)))
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
