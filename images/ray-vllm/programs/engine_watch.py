"""Asks a model for a token again and again, in the background, and knows when it last gave one."""

import threading
import time

from completion import QUESTION, QUESTION_TOKENS, Answer, Model
from liveness import Life, probe

FIRST_ANSWER_SECONDS = 120.0  # the first requests compile kernels
LOADING_INTERVAL_SECONDS = 3.0


class EngineWatch:
    """Asks a question every 3 s until it is answered, from then on for one token, twelve times in `hang` seconds."""

    def __init__(self, model: Model, hang: float) -> None:
        self._model = model
        self._hang = hang
        self._life = Life(time.monotonic())
        self._closed = threading.Event()
        self.first_answer = ""
        self.problem = "not asked yet"
        self.empty_answers = 0
        threading.Thread(target=self._run, name="engine watch", daemon=True).start()

    def hung_for(self) -> float:
        """Return for how many seconds neither a probe nor any request has got a token; 0 when less than `hang`."""
        silence = self._life.silent_for(time.monotonic())
        return silence if silence > self._hang and self.problem else 0.0

    def close(self) -> None:
        """Ask no further question; one that waits for its answer is given up at its time-out."""
        self._closed.set()

    def _run(self) -> None:
        while not self.first_answer and not self._closed.wait(LOADING_INTERVAL_SECONDS):
            answer = self._model.ask(QUESTION, QUESTION_TOKENS, FIRST_ANSWER_SECONDS)
            self.empty_answers += answer.completed and not answer.text
            self._note(answer, None)
        while not self._closed.wait(self._hang / 12):
            self._note(*probe(self._model, timeout=self._hang / 6))

    def _note(self, answer: Answer, tokens: float | None) -> None:
        self._life = self._life.after(answer, tokens, time.monotonic())
        self.problem = "" if answer.completed else answer.problem
        self.first_answer = self.first_answer or answer.text
