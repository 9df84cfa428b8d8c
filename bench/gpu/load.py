"""Requests to a vLLM under test, and how fast it answers them."""

import concurrent.futures
import json
import os
import statistics
import time
import urllib.request
from dataclasses import dataclass, field
from itertools import repeat

from bench.gpu.model import FIRST_TOKEN

REQUEST_TIMEOUT_SECONDS = 300
NAME = "model"
"""Of the model under test, for clients."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """So many requests, `at_once` of them under way at any time."""

    requests: int
    at_once: int
    prompt_tokens: int
    answer_tokens: int
    stream: bool = False
    """Tells the time to the first token. One client cannot read the streams of a hundred requests as fast as vLLM."""

    more: dict[str, object] = field(default_factory=dict[str, object])
    """Further keys of the request's body."""


WARM_UP = (
    Load(requests=1, at_once=1, prompt_tokens=200, answer_tokens=16),
    Load(requests=64, at_once=64, prompt_tokens=200, answer_tokens=32),
)
AFTER_READY = (Load(requests=64, at_once=64, prompt_tokens=300, answer_tokens=64),) * 2
"""The first requests of users: of a shape with which the supervisor does not warm vLLM up."""

RATES = (
    *(Load(requests=max(4, n), at_once=n, prompt_tokens=200, answer_tokens=128) for n in (1, 16, 64, 256, 1024)),
    *(Load(requests=4, at_once=1, prompt_tokens=n, answer_tokens=16, stream=True) for n in (200, 1000, 4000, 15000)),
    Load(requests=64, at_once=64, prompt_tokens=4000, answer_tokens=128),
)
HEAVY = (
    Load(requests=32, at_once=16, prompt_tokens=15000, answer_tokens=64),
    Load(requests=1024, at_once=1024, prompt_tokens=500, answer_tokens=256),
    Load(requests=1, at_once=1, prompt_tokens=16000, answer_tokens=380),
    Load(
        requests=512,
        at_once=512,
        prompt_tokens=300,
        answer_tokens=128,
        more={"temperature": 0.9, "top_p": 0.9, "top_k": 50, "logprobs": 5},
    ),
    Load(requests=64, at_once=64, prompt_tokens=4000, answer_tokens=128, more={"n": 8, "temperature": 1.0}),
)
"""What takes memory: long prompts, full batches, the longest request, sampling with all its options."""


@dataclass(frozen=True)
class Answer:
    """How one request went. Seconds."""

    first_token: float | None
    """None where the answer did not come as a stream."""
    whole: float
    tokens: int
    """0 for a request that failed."""


def put(url: str, load: Load, model: str = NAME) -> dict[str, float]:
    """Put a load on the server; returns tokens a second and medians, by stable names."""
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(load.at_once) as pool:
        answers = list(pool.map(_ask, repeat(url, load.requests), repeat(load), repeat(model)))
    seconds = time.monotonic() - start
    answered = [answer for answer in answers if answer.tokens]
    rates: dict[str, float] = {
        "at_once": load.at_once,
        "prompt_tokens": load.prompt_tokens,
        "answer_tokens": load.answer_tokens,
        "failed": len(answers) - len(answered),
        "seconds": round(seconds, 2),
        "output_tokens_per_second": round(sum(answer.tokens for answer in answered) / seconds, 1),
    }
    streamed = [(a.first_token, a.whole, a.tokens) for a in answered if a.first_token is not None]
    if streamed:
        rates["time_to_first_token_seconds"] = round(statistics.median(first for first, _, _ in streamed), 4)
        steps = [(whole - first) / max(1, tokens - 1) for first, whole, tokens in streamed]
        rates["time_per_token_seconds"] = round(statistics.median(steps), 5)
    return rates


def _ask(url: str, load: Load, model: str) -> Answer:
    # A prompt of its own for each request, so that none is answered from the prefix cache.
    body = {
        "model": model,
        "prompt": [FIRST_TOKEN + byte for byte in os.urandom(load.prompt_tokens)],
        "max_tokens": load.answer_tokens,
        "ignore_eos": True,
        "temperature": 0,
        "stream": load.stream,
        **load.more,
    }
    request = urllib.request.Request(
        f"{url}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    start, first = time.monotonic(), None
    try:
        with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_SECONDS) as response:
            if load.stream:
                response.readline()
                first = time.monotonic() - start
            response.read()
    except OSError:
        return Answer(None, 0, 0)
    # Nothing ends early, so every answer has the tokens that were asked for.
    return Answer(first, time.monotonic() - start, load.answer_tokens)
