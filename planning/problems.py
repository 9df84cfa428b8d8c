"""What is wrong with a stack file, in the words of the person who wrote it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Changes = Mapping[str, object]
"""New values by the keys of the stack file, `hardware.nodes` and the like; None takes a key out."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    The key as the user typed it, what was found there, and the smallest change that works (empty if none is known).

    `fix` is that change for programs: a stack with the fixes of all its problems is one that fits.
    """

    key: str
    text: str
    suggestion: str = ""
    fix: Changes | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """Key and text, with the suggestion on a line of its own."""
        return f"{self.key}: {self.text}" + (f"\n    try {self.suggestion}" if self.suggestion else "")


class Refused(Exception):
    """A stack that will not run, with every reason found."""

    def __init__(self, problems: list[Problem]) -> None:
        """Keep the problems for programs; the text is for people."""
        super().__init__(problems)
        self.problems: list[Problem] = problems

    def __str__(self) -> str:
        """All problems, a block each."""
        count = len(self.problems)
        heading = f"the stack file has {count} problem{'s' if count > 1 else ''}:"
        return "\n".join([heading, *(f"  {problem}" for problem in self.problems)])


def fixable(key: str, text: str, fix: Changes, reason: str = "") -> Problem:
    """A problem whose suggestion is that change, spelled as it would stand in the stack file."""
    return Problem(key, text, describe(fix) + (f" ({reason})" if reason else ""), fix)


def describe(changes: Changes) -> str:
    """`hardware.nodes: 5 and without serving.tensorParallelSize`."""
    parts = [f"without {key}" if value is None else f"{key}: {_written(value)}" for key, value in changes.items()]
    return " and ".join(parts)


def _written(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value
