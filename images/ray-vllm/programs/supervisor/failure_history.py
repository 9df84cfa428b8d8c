"""What the supervisor remembers of failed attempts: how long to wait before the next, and how often it was the same."""

import re
from dataclasses import dataclass

FIRST_DELAY_SECONDS = 10
MOST_DELAY_SECONDS = 300
HOPELESS_REPETITIONS = 3
KINDS: tuple[str, ...] = ("nodes", "submit", "exit", "stopped", "lost", "load", "empty", "refused", "hung")
"""`Failed` says what each means."""


class Failed(Exception):
    """An attempt to serve has ended.

    `kind` is one word for who reads the log: nodes (Ray nodes did not join in time, or one left), network (nodes reach
    each other with less than the minimum), submit (Ray did not take the job), exit (vLLM ended), stopped (somebody
    stopped the Ray job), lost (the head forgot the job or does not answer), load (not serving in time), empty (answers
    without text), refused (it does not take the question), hung (no token any more).
    """

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


@dataclass
class FailureHistory:
    """Failures in a row. `same` counts the last ones as far as they differ in numbers only."""

    same: int = 0
    _delay: int = 0
    _last: tuple[str, str] = ("", "")

    def add(self, failure: Failed) -> int:
        """Return the seconds to wait after a failure: 10, doubled with each one in a row, at most 5 minutes."""
        seen = (failure.kind, re.sub(r"\d+", "#", failure.reason))
        self.same = self.same + 1 if seen == self._last else 1
        self._last = seen
        self._delay = min(max(2 * self._delay, FIRST_DELAY_SECONDS), MOST_DELAY_SECONDS)
        return self._delay

    def clear(self) -> None:
        """Forget everything, because an attempt has served."""
        self.same, self._delay, self._last = 0, 0, ("", "")
