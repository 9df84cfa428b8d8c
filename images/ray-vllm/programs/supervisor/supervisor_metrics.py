"""What the supervisor tells a Prometheus of its work."""

from collections import Counter
from collections.abc import Callable, Iterator

from failure_history import KINDS
from metrics import Reading


def _nothing() -> float:
    return 0.0


class SupervisorMetrics:
    """Counts what has happened since the supervisor's pod began, and knows how things are."""

    def __init__(self) -> None:
        self.first_start = False
        self.attempts = 0
        self.failures = Counter(dict.fromkeys(KINDS, 0))
        self.serving = False
        self.silence: Callable[[], float] = _nothing

    def begins(self, *, first: bool) -> None:
        """Note that the supervisor begins; `first`: no other has supervised for its Job."""
        self.first_start = first

    def begins_to_serve(self, silence: Callable[[], float]) -> None:
        """Note that vLLM serves; `silence` returns for how many seconds it has shown no life."""
        self.silence, self.serving, self.first_start = silence, True, False

    def has_ended(self) -> None:
        """Note that nothing serves."""
        self.silence, self.serving = _nothing, False

    def has_failed(self, kind: str) -> None:
        """Note that an attempt has ended, and how."""
        self.failures[kind] += 1
        self.first_start = False

    def readings(self) -> Iterator[Reading]:
        """Return the metrics as they are now."""
        yield Reading(
            "deepseek_supervisor_serving",
            "1 while vLLM serves: it has answered, and nothing has ended it since.",
            {"": float(self.serving)},
        )
        yield Reading(
            "deepseek_supervisor_first_start",
            "1 while a new serving Job makes its first attempt, until vLLM serves or the attempt has ended.",
            {"": float(self.first_start)},
        )
        yield Reading(
            "deepseek_supervisor_attempts_total",
            "Attempts to serve, those included in which a running vLLM was taken over.",
            {"": self.attempts},
        )
        yield Reading(
            "deepseek_supervisor_failures_total",
            "Attempts that have ended, by their kind of end.",
            self.failures,
            "kind",
        )
        yield Reading(
            "deepseek_supervisor_silence_seconds",
            "How long a vLLM that serves has answered no question of the supervisor and shown no other sign of life.",
            {"": self.silence()},
        )
