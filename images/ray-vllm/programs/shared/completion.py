"""What proves that a model is served: a completion with text in it, or metrics of the engine that move.

A chat completion is asked for. A base model has no chat template, and vLLM says so: it is asked to complete a text.

`/health` and `/v1/models` prove neither: both have been seen green over a dead engine, and damaged weights have been
seen to answer with empty strings.
"""

import json
import re
import time
from dataclasses import dataclass
from typing import Any

from direct_http import NoAnswer, fetch
from key_file import read_key

QUESTION = "Say in one short sentence that you are ready."
QUESTION_TOKENS = 16
GENERATED_TOKENS = "vllm:generation_tokens_total"
CACHE_USAGE = "vllm:kv_cache_usage_perc"
HTTP_BAD_REQUEST = 400
HTTP_SERVER_ERROR = 500
NO_CHAT = re.compile(
    r"\b(?:no|without|lacks|have|provide)\s+(?:an?\s+|any\s+)?chat[ _-]?template"
    r"|chat[ _-]?template\W+(?:is\s+)?(?:no\s+longer|missing|undefined|not\s+(?:set|defined|given|found|available))"
    r"|not support chat completions",
    re.IGNORECASE,
)
"""That there is none. Words about one that fails do not count: chats with that model do not work."""
HTTP_UNAUTHORIZED = 401
HTTP_REQUEST_TIMEOUT = 408
HTTP_TOO_EARLY = 425
HTTP_TOO_MANY_REQUESTS = 429
HTTP_NOT_IMPLEMENTED = 501  # vLLM's answer where the model does not do what is asked for
HTTP_UNAVAILABLE = 503


@dataclass(frozen=True)
class Answer:
    """What came back: `text` when the model said something, otherwise `problem` says why not.

    `completed`: the request was completed, be it without text. `busy`: the server is there and may only be slow.
    `turned_away`: the engine was not asked, because there is no key to ask with, or the server refused the question or
    closed the connection.
    `final`: the server is up and will hardly say anything else to this question, such as that it has no model of this
    name.
    """

    text: str = ""
    problem: str = ""
    completed: bool = False
    busy: bool = False
    turned_away: bool = False
    final: bool = False


@dataclass(frozen=True)
class Metrics:
    """What vLLM publishes of its engines, summed over them; None for what it does not say."""

    tokens: float | None = None
    """Generated since vLLM started."""

    cache_usage: float | None = None
    """The part of the KV cache that is in use."""


@dataclass(frozen=True)
class Model:
    """Where a model is asked (`http://host:port`), under which name, and in which file its key is, if it has one."""

    endpoint: str
    name: str
    key_file: str = ""

    def ask(self, question: str, max_tokens: int, timeout: float) -> Answer:
        """Return the answer to one question, or the problem when none comes within `timeout` seconds."""
        key = self._key()
        if self.key_file and not key:
            return Answer(problem=f"the file {self.key_file} holds no API key to ask with", turned_away=True)
        deadline = time.monotonic() + timeout
        messages = [{"role": "user", "content": question}]
        try:
            return self._complete("chat/completions", {"messages": messages}, key, max_tokens, timeout)
        except NoAnswer as error:
            refusal = error
        if blames_the_question(refusal.status) and NO_CHAT.search(str(refusal)):
            left = max(deadline - time.monotonic(), 0.1)
            try:
                return self._complete("completions", {"prompt": question}, key, max_tokens, left)
            except NoAnswer as error:
                refusal = error
        return _no_answer(refusal, timeout)

    def _complete(self, path: str, what: dict[str, Any], key: str, max_tokens: int, timeout: float) -> Answer:
        """Return a completion, be it without text. Raises NoAnswer."""
        body = {"model": self.name, **what, "max_tokens": max_tokens, "temperature": 0}
        return _answer(fetch("POST", f"{self.endpoint}/v1/{path}", body=body, token=key, timeout=timeout))

    def generate(self, prompt: list[int], tokens: int, timeout: float) -> str:
        """Let the engine go on with a prompt of token ids, for just so many tokens; return why it did not.

        `ignore_eos`: vLLM 0.32, parameters of /v1/completions beyond OpenAI's.
        """
        try:
            answer = self._complete("completions", {"prompt": prompt, "ignore_eos": True}, self._key(), tokens, timeout)
        except NoAnswer as error:
            answer = _no_answer(error, timeout)
        return "" if answer.completed else answer.problem

    def longest_text(self, timeout: float) -> int | None:
        """Return how many tokens a prompt and its answer may have together, as /v1/models says; None if it does not."""
        try:
            text = fetch("GET", f"{self.endpoint}/v1/models", token=self._key(), timeout=timeout)
            return int(json.loads(text)["data"][0]["max_model_len"])
        except (NoAnswer, ValueError, LookupError, TypeError):
            return None

    def metrics(self, timeout: float) -> Metrics:
        """Return what vLLM says of its engines within `timeout` seconds."""
        try:
            text = fetch("GET", f"{self.endpoint}/metrics", token=self._key(), timeout=timeout)
        except NoAnswer:
            return Metrics()
        return Metrics(sum_of(text, GENERATED_TOKENS), sum_of(text, CACHE_USAGE))

    def _key(self) -> str:
        """Read the key again for each question: it may be another one by now."""
        return read_key(self.key_file).decode() if self.key_file else ""


def blames_the_question(status: int) -> bool:
    """Tell whether a status says that the same question is hardly answered better another time."""
    passes = (HTTP_UNAUTHORIZED, HTTP_REQUEST_TIMEOUT, HTTP_TOO_EARLY, HTTP_TOO_MANY_REQUESTS)
    return status == HTTP_NOT_IMPLEMENTED or (HTTP_BAD_REQUEST <= status < HTTP_SERVER_ERROR and status not in passes)


def sum_of(metrics: str, name: str) -> float | None:
    """Return the sum over all label sets of a metric in Prometheus' text format; None when it is not there."""
    values = re.findall(rf"^{re.escape(name)}(?:\{{.*\}})? (\S+)", metrics, re.MULTILINE)
    return sum(map(float, values)) if values else None


def _no_answer(error: NoAnswer, timeout: float) -> Answer:
    return Answer(
        problem=f"no answer within {timeout:g} s" if error.timed_out else str(error),
        busy=error.timed_out or error.status in (HTTP_TOO_MANY_REQUESTS, HTTP_UNAVAILABLE),
        turned_away=HTTP_BAD_REQUEST <= error.status < HTTP_SERVER_ERROR or error.closed,
        final=blames_the_question(error.status),
    )


def _answer(text: str) -> Answer:
    try:
        choice = json.loads(text)["choices"][0]
        message = {"content": choice["text"]} if "text" in choice else choice["message"]
        said = str(message.get("content") or message.get("reasoning") or message.get("reasoning_content") or "")
    except (ValueError, LookupError, TypeError, AttributeError):
        return Answer(problem=f"not a chat completion: {text[:300]}")
    return Answer(said.strip(), "" if said.strip() else "the completion has no text in it", completed=True)
