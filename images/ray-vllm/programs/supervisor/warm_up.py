"""Sends a server its warm-up load in the background, within a bounded time; what fails is told and stops nothing."""

import threading
import time
from collections.abc import Sequence

import warm_load
from completion import Model
from warm_load import WarmLoad

METRICS_SECONDS = 5.0
TOKEN_IDS = 97
FIRST_TOKEN_ID = 3
"""Every vocabulary has a hundred tokens; the first few often end a text."""


class WarmUp:
    """The warm-up of one vLLM, which begins at once. A server that has answered as much before is left alone."""

    def __init__(self, model: Model, load: WarmLoad, seconds: float = warm_load.SECONDS) -> None:
        self._model, self._load, self._seconds = model, load, seconds
        self._began = time.monotonic()
        self._over = threading.Event()
        self.took = 0.0
        """Seconds, once it is over."""

        self.requests = 0
        self.problems: list[str] = []
        """Why requests were not answered, one text each."""

        threading.Thread(target=self._run, name="warm-up", daemon=True).start()

    @property
    def over(self) -> bool:
        """Whether the model may serve: all requests have ended, or the time is over."""
        return self._over.is_set() or time.monotonic() - self._began > self._seconds + METRICS_SECONDS

    def _run(self) -> None:
        try:
            if (self._model.metrics(METRICS_SECONDS).tokens or 0) < self._load.tokens:
                self._send(self._model.longest_text(METRICS_SECONDS))
        finally:
            self.took = time.monotonic() - self._began
            self._over.set()

    def _send(self, longest: int | None) -> None:
        for at_once in self._load.at_once:
            threads = [
                threading.Thread(target=self._ask, args=(prompt,), daemon=True)
                for prompt in self._prompts(at_once, longest)
            ]
            self.requests += at_once
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    def _prompts(self, count: int, longest: int | None) -> Sequence[list[int]]:
        """Return prompts as token ids. They differ from their first token on: vLLM computes a common beginning once."""
        lengths = self._load.prompt_tokens
        fitting = [min(length, (longest or length * 2) // 2) for length in lengths]
        return [
            [(count + number * 31 + place * (number + 1)) % TOKEN_IDS + FIRST_TOKEN_ID for place in range(length)]
            for number, length in ((number, fitting[number % len(fitting)]) for number in range(count))
        ]

    def _ask(self, prompt: list[int]) -> None:
        left = max(self._seconds - (time.monotonic() - self._began), 0.1)
        if problem := self._model.generate(prompt, self._load.answer_tokens, left):
            self.problems.append(problem)
