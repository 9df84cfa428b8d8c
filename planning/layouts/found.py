"""Layouts that fit, with what each holds and how fast it is predicted to be, best first."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from planning.layouts.candidates import candidates
from planning.problems import Changes
from planning.sizing.capacity import Capacity
from planning.sizing.resolved import ResolvedStack
from planning.sizing.sizes import Sizes
from planning.speed.of_stack import load_of, speed_of
from planning.speed.prediction import SECONDS_OF_AN_HOUR

Purpose = Literal["throughput", "latency", "context"]
FEW, SOME, MANY = 1, 64, 1024
"""Requests at once for which the speed is predicted: the first tells latency, the last throughput."""


@dataclass(frozen=True, eq=False)
class FoundLayout:
    """One layout. Nothing of its speed is known where its GPU or its weights are not (`speed` is then None)."""

    changes: Changes
    """What to write over the stack file; nothing for the stack's own layout."""
    stack: ResolvedStack
    capacity: Capacity
    prompt_tokens: int
    answer_tokens: int

    @property
    def sizes(self) -> Sizes:
        """By which vLLM divides the model."""
        return self.stack.sizes

    @property
    def nodes(self) -> int:
        """Nodes, all GPUs of each."""
        return self.stack.settings.hardware.nodes

    @property
    def kv_cache_tokens(self) -> int:
        """Of all data-parallel ranks."""
        return self.capacity.all_kv_cache_tokens

    @cached_property
    def requests_at_once(self) -> int:
        """Requests of the given lengths that it works on at the same time."""
        load, _ = load_of(self.capacity, self.prompt_tokens, self.answer_tokens)
        return int(load.under_way(10**9, self.sizes.data_parallel_size))

    @cached_property
    def _speeds(self) -> dict[int, float | None]:
        return {}

    def tokens_per_second(self, requests: int) -> float | None:
        """Predicted output tokens a second at so many requests; None where it is not known."""
        if requests not in self._speeds:
            load, _ = load_of(self.capacity, self.prompt_tokens, self.answer_tokens)
            found = speed_of(self.stack, self.capacity, load, requests)
            self._speeds[requests] = found and found.output_tokens_per_second
        return self._speeds[requests]

    @property
    def cost_per_hour(self) -> float | None:
        """Of its GPUs; None where the price is not known."""
        hardware = self.stack.settings.hardware
        return None if hardware.price_per_gpu_hour is None else hardware.price_per_gpu_hour * hardware.gpus

    def cost_per_million(self, requests: int) -> float | None:
        """Cost of a million output tokens at so many requests."""
        rate, cost = self.tokens_per_second(requests), self.cost_per_hour
        return None if rate is None or cost is None else cost / SECONDS_OF_AN_HOUR / rate * 1e6

    def worth(self, purpose: Purpose) -> float:
        """Return what counts for a purpose: tokens a second of many requests or of one, or tokens of the KV cache."""
        if purpose == "context":
            return self.kv_cache_tokens
        return self.tokens_per_second(MANY if purpose == "throughput" else FEW) or 0


def layouts(stack: ResolvedStack, prompt_tokens: int, answer_tokens: int) -> list[FoundLayout]:
    """Return the layouts that fit, best first for the stack's purpose; none where no memory is planned."""
    found: list[FoundLayout] = []
    for changes, other in candidates(stack):
        if other.deployment is not None:
            capacity = Capacity(other.deployment)
            if capacity.fits:
                found.append(FoundLayout(changes, other, capacity, prompt_tokens, answer_tokens))
    purpose = stack.settings.serving.purpose
    return sorted(found, key=lambda layout: (-layout.worth(purpose), -layout.kv_cache_tokens, len(layout.changes)))
