"""What a preview says of other layouts of the same hardware."""

from collections.abc import Iterator, Sequence

from planning.layouts.found import FoundLayout, Purpose
from planning.problems import describe

WORTHWHILE = 1.3
"""How many times as much another layout must hold or do to be named."""
UNITS: dict[Purpose, str] = {
    "context": "tokens of KV cache",
    "throughput": "tokens/s of 1,024 requests, as predicted",
    "latency": "tokens/s of one request, as predicted",
}


def better_layouts(found: Sequence[FoundLayout], purpose: Purpose) -> Iterator[str]:
    """Yield a note where another layout holds so much more, and one where it does so much more for the purpose.

    The one with the fewest changed keys is named, of these the best.
    """
    own = next((layout for layout in found if not layout.changes), None)
    if own is None:
        return
    purposes: list[Purpose] = ["context"] if purpose == "context" else ["context", purpose]
    for wanted in purposes:
        has = own.worth(wanted)
        better = [layout for layout in found if layout.worth(wanted) >= WORTHWHILE * has > 0]
        if better:
            best = _simplest(better, wanted)
            times, much = best.worth(wanted) / has, f"{best.worth(wanted):,.0f} in place of {has:,.0f}"
            yield f"layout: {times:.1f} times the {UNITS[wanted]} ({much}) with {describe(best.changes)}"


def _simplest(found: Sequence[FoundLayout], purpose: Purpose) -> FoundLayout:
    return min(found, key=lambda layout: (len(layout.changes), -layout.worth(purpose)))
