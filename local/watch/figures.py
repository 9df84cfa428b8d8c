"""What a person wants to know of a stack that serves, worked out of the metrics of its pods.

Names and meanings of the metrics: components/monitoring/alerts.py.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

SILENT_SECONDS = 30.0
"""A busy vLLM answers its supervisor's question later than that now and then; the alert takes 90 s."""


class Readings:
    """What pods told at one time; series of the same name are added."""

    def __init__(self, at: float, texts: Iterable[str]) -> None:
        self.at = at
        self._values: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        for text in texts:
            for family in text_string_to_metric_families(text):
                for sample in family.samples:
                    series = self._values.setdefault(sample.name, {})
                    labels = tuple(sorted(sample.labels.items()))
                    series[labels] = series.get(labels, 0.0) + sample.value

    def total(self, name: str, **labels: str) -> float | None:
        """Return the sum of the series of a name with these labels; None if there is none."""
        found = [value for of, value in self._values.get(name, {}).items() if labels.items() <= dict(of).items()]
        return sum(found) if found else None

    def most(self, name: str) -> float | None:
        """Return the largest of the series of a name; None if there is none."""
        return max(self._values.get(name, {}).values(), default=None)

    def by_label(self, name: str, label: str) -> Mapping[str, float]:
        """Return the values of a name that are not 0, by one of its labels."""
        series = self._values.get(name, {}).items()
        return {dict(labels)[label]: value for labels, value in series if value and label in dict(labels)}


@dataclass(frozen=True)
class Figures:
    """How a stack is now; None for what nothing tells. Rates are those between two readings, a second."""

    state: str
    running: float | None
    waiting: float | None
    at_the_door: float | None
    """Requests that wait at the proxies."""

    answers: float | None
    generated: float | None
    of_prompts: float | None
    first_token_seconds: float | None
    """Of the answers that began between the two readings, on average."""

    kv_cache: float | None
    """The fullest engine's, from 0 to 1."""

    ends: Mapping[str, float]
    """Attempts that have ended since the supervisor's pod began, by kind."""


def figures(before: Readings, now: Readings) -> Figures:
    """Return the figures of a stack, from an earlier reading and the newest."""
    firsts = _grown(before, now, "vllm:time_to_first_token_seconds_count")
    waited = _grown(before, now, "vllm:time_to_first_token_seconds_sum")
    return Figures(
        state=state(now),
        running=now.total("vllm:num_requests_running"),
        waiting=now.total("vllm:num_requests_waiting"),
        at_the_door=now.total("haproxy_backend_current_queue", proxy="engine"),
        answers=_rate(before, now, "vllm:request_success_total"),
        generated=_rate(before, now, "vllm:generation_tokens_total"),
        of_prompts=_rate(before, now, "vllm:prompt_tokens_total"),
        first_token_seconds=waited / firsts if firsts and waited is not None else None,
        kv_cache=now.most("vllm:kv_cache_usage_perc"),
        ends=now.by_label("deepseek_supervisor_failures_total", "kind"),
    )


def state(now: Readings) -> str:
    """Return in words whether a stack serves, by what its supervisor tells."""
    serving, silence = now.total("deepseek_supervisor_serving"), now.most("deepseek_supervisor_silence_seconds")
    if serving is None:
        return "no supervisor tells anything"
    if serving:
        return f"serves, but has been silent for {silence:.0f} s" if (silence or 0) > SILENT_SECONDS else "serves"
    if now.total("deepseek_supervisor_first_start"):
        return "goes up"
    attempts = now.total("deepseek_supervisor_attempts_total") or 0
    return f"does not serve; attempt {attempts:.0f} is under way"


def _grown(before: Readings, now: Readings, name: str) -> float | None:
    """Return by how much a counter has grown; from 0 if it has begun anew in between."""
    was, is_now = before.total(name), now.total(name)
    if was is None or is_now is None:
        return None
    return is_now - was if is_now >= was else is_now


def _rate(before: Readings, now: Readings, name: str) -> float | None:
    grown, seconds = _grown(before, now, name), now.at - before.at
    return grown / seconds if grown is not None and seconds > 0 else None
