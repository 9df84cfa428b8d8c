"""Conversations with a model, turn by turn: each turn sends all that was said before and one more question."""

import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection

TURNS = 8
QUESTION_CHARACTERS, ANSWER_TOKENS = 300, 16
"""The tiny tokenizer has a token for each character of a question and for each word of an answer, which it reads
character by character in the next turn. So the last turn has 3,100 tokens or so, of 4,096 that the model takes."""

PAUSE_SECONDS = (0.2, 1.0)
"""Between an answer and the next question."""

ANSWERS_WITHIN_SECONDS = 120


@dataclass(frozen=True)
class Conversation:
    """What one client says, which begins unlike all others, and where it says it."""

    name: str
    ports: Sequence[int]
    """Of the proxies: each turn opens a connection to one of them, as the packet filter chooses for a Service."""

    headers: Mapping[str, str]

    def hold(self) -> list[float]:
        """Return the seconds to the first token of each turn. Raises RuntimeError where a turn gets no whole answer."""
        chance = random.Random(self.name)  # noqa: S311  the same each time
        said: list[dict[str, str]] = []
        seconds: list[float] = []
        for _ in range(TURNS):
            time.sleep(chance.uniform(*PAUSE_SECONDS))
            question = f"{self.name} {''.join(chance.choices('abcdefghij ', k=QUESTION_CHARACTERS))}"
            said.append({"role": "user", "content": question})
            first, text = self._ask(chance.choice(self.ports), said)
            said.append({"role": "assistant", "content": text})
            seconds.append(first)
        return seconds

    def _ask(self, port: int, messages: Sequence[Mapping[str, str]]) -> tuple[float, str]:
        body = {"model": "tiny", "messages": messages, "stream": True, "max_tokens": ANSWER_TOKENS, "temperature": 0}
        connection = HTTPConnection("127.0.0.1", port, timeout=ANSWERS_WITHIN_SECONDS)
        headers = {"Content-Type": "application/json", **self.headers}
        start, first, text = time.perf_counter(), 0.0, ""
        try:
            connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
            for line in connection.getresponse():
                if line == b"data: [DONE]\n":
                    return first, text
                if line.startswith(b"data: {") and (word := _word(line)):
                    first = first or time.perf_counter() - start
                    text += word
        finally:
            connection.close()
        raise RuntimeError(f"a turn of {self.name} got no whole answer: {text!r}")


def _word(line: bytes) -> str:
    event = json.loads(line.removeprefix(b"data: "))
    return "".join(choice["delta"].get("content") or "" for choice in event["choices"])
