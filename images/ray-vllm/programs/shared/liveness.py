"""When an engine counts as alive: a probe was answered, or its metrics moved.

Tokens are not enough: a long prompt is computed for minutes before its first token, and then only the use of the KV
cache grows. An engine that hangs publishes nothing, so that both stand still (vLLM 0.32).
"""

from dataclasses import dataclass

from completion import Answer, Metrics, Model


@dataclass(frozen=True)
class Life:
    """The last sign of life: when it was seen (seconds on the observer's clock), and what the metrics said by then."""

    seen_at: float
    tokens: float | None = None
    cache_usage: float | None = None

    def after(self, answer: Answer, metrics: Metrics, now: float) -> "Life":
        """Return what is known after a probe and a look at the metrics."""
        moved = _differ(metrics.tokens, self.tokens) or _differ(metrics.cache_usage, self.cache_usage)
        return Life(
            now if answer.completed or moved else self.seen_at,
            self.tokens if metrics.tokens is None else metrics.tokens,
            self.cache_usage if metrics.cache_usage is None else metrics.cache_usage,
        )

    def silent_for(self, now: float) -> float:
        """Return the seconds since the last sign of life."""
        return now - self.seen_at


def probe(model: Model, timeout: float) -> tuple[Answer, Metrics]:
    """Ask for one token, and for the metrics, each within `timeout` seconds."""
    answer = model.ask("Say yes.", max_tokens=1, timeout=timeout)
    return answer, model.metrics(timeout)


def _differ(now: float | None, then: float | None) -> bool:
    return now is not None and then is not None and now != then
