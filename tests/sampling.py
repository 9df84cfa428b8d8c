"""Which cases of a sweep `make test` runs: a fixed, seeded sample. `make test-faults` runs all of them."""

import random
from collections.abc import Sequence
from typing import TypeVar

import pytest
from _pytest.mark.structures import ParameterSet

Case = TypeVar("Case")
SEED = 8


def swept(cases: Sequence[Case], *, sample: int) -> list[ParameterSet]:
    """Return the cases as parameters of a test, all marked as faults, and `sample` of them as the sample too."""
    chosen = set(random.Random(f"{SEED} {cases[0]}").sample(range(len(cases)), sample))
    return [
        pytest.param(case, id=str(case), marks=[pytest.mark.faults, *([pytest.mark.sample] if n in chosen else [])])
        for n, case in enumerate(cases)
    ]
