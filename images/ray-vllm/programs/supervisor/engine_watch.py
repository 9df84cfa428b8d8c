"""Asks a model for a token again and again, in the background, and knows when its engine last showed life."""

import threading
import time

from completion import QUESTION, QUESTION_TOKENS, Answer, Metrics, Model
from engine_log import EngineLog
from liveness import Life, probe
from refusals import Refusals

FIRST_ANSWER_SECONDS = 120.0  # the first requests compile kernels
LOADING_INTERVAL_SECONDS = 3.0


class EngineWatch:
    """Asks a question every 3 s until it is answered, from then on for one token, twelve times in `hang` seconds."""

    def __init__(self, model: Model, log: EngineLog, hang: float) -> None:
        self._model, self._log, self._hang = model, log, hang
        self._life = Life(time.monotonic())
        self._closed = threading.Event()
        self._turned_away = False
        self.first_answer = ""
        self.problem = "not asked yet"
        self.empty_answers = 0
        self.refusals = Refusals()
        threading.Thread(target=self._run, name="engine watch", daemon=True).start()

    @property
    def alive_at(self) -> float:
        """When the engine last showed life, in an answer, in its metrics or in its log; at first the watch's start."""
        return max(self._life.seen_at, self._log.moved_at)

    def silent_for(self) -> float:
        """Return for how many seconds questions have had no answer and nothing has shown life."""
        return time.monotonic() - self.alive_at if self.problem else 0.0

    def hung_for(self) -> float:
        """Return for how many seconds the engine has been silent; 0 when less than `hang`, or when it was not asked.

        It is not asked when the server takes no connection, because it has no files left, or refuses the question. Then
        it hangs only if its log ends with requests that make no progress.
        """
        silence = self.silent_for()
        if silence <= self._hang or (self._was_not_asked() and not self._log.has_work):
            return 0.0
        return silence

    def close(self) -> None:
        """Ask no further question; one that waits for its answer is given up at its time-out."""
        self._closed.set()

    def _was_not_asked(self) -> bool:
        return self._turned_away or time.monotonic() - self._log.no_files_left_at < self._hang

    def _run(self) -> None:
        timeout = self._hang / 6
        while not self.first_answer and not self._closed.wait(LOADING_INTERVAL_SECONDS):
            answer = self._model.ask(QUESTION, QUESTION_TOKENS, FIRST_ANSWER_SECONDS)
            self.empty_answers += answer.completed and not answer.text
            self.refusals.note(answer)
            self._note(answer, self._model.metrics(timeout))
        while not self._closed.wait(self._hang / 12):
            self._note(*probe(self._model, timeout))

    def _note(self, answer: Answer, metrics: Metrics) -> None:
        self._life = self._life.after(answer, metrics, time.monotonic())
        self._turned_away = answer.turned_away
        self.problem = "" if answer.completed else answer.problem
        self.first_answer = self.first_answer or answer.text
