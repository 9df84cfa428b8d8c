"""Data parallel 2 over two pods serves as one model does, with the key, and comes back after the loss of a copy.

It changes the stack that test_require_key.py has closed, in which only vLLM starts again.
"""

import json
import re
import subprocess
import urllib.error
import urllib.request
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from completion import GENERATED_TOKENS, Model, sum_of

from local import stack
from tests.sampling import swept
from tests.serving import faults, live, one_copy, vllm_parser
from tests.serving.closed_stack import TEAM, TEAM_KEY, TOKENS_PER_MINUTE, closed_stack
from tests.serving.conftest import Served
from tests.serving.faults import Fault
from tests.serving.observer import LongRequest, Observer
from tests.serving.recovery import from_fault_to_serving, is_one_vllm, wait_for

COPIES: dict[str, Any] = {
    "tensorParallelSize": 1,
    "dataParallelSize": 2,
    # BF16 rounds the sum of two ranks otherwise than one rank's, and often two tokens of a random model are as likely.
    "dtype": "float16",
}
PROMPTS = ("The meaning of life is", "Say in one short sentence that you are ready.", "a b c d e f g", "zzz")
TOKENS = 32
API_SERVERS = 2
REFERENCE_SECONDS = 600
TRIES = 3


@pytest.fixture(scope="module")
def two_copies(served: Served) -> Served:
    """The dev stack with two copies from this module on. Where it stays up, the end of all tests takes them back."""
    assert served.outputs["endpoint"]
    copies = closed_stack(**COPIES)
    outputs = copies.up(on_output=stack.show).outputs
    return Served(copies, {key: output.value for key, output in outputs.items()})


@pytest.fixture
def model(two_copies: Served, tmp_path: Path) -> Model:
    key = tmp_path / "key"
    key.write_text(live.api_key())
    return Model(live.service_url(two_copies.outputs["service"]), two_copies.outputs["servedModels"][0], str(key))


def test_greedy_tokens_are_those_of_one_rank_alone(model: Model) -> None:
    reference = [*vllm_parser.in_pod(), "-c", Path(one_copy.__file__).read_text(encoding="utf-8")]
    asked = json.dumps({"model": model.name, "prompts": PROMPTS, "tokens": TOKENS, "dtype": COPIES["dtype"]})
    run = subprocess.run(
        reference, input=asked, check=True, stdout=subprocess.PIPE, text=True, timeout=REFERENCE_SECONDS
    )
    of_one_rank: list[list[int]] = json.loads(run.stdout.splitlines()[-1])
    for prompt, wanted in zip(PROMPTS, of_one_rank, strict=True):
        # Beside a probe's question it computes other tokens (one_copy.py: 19 of 32 answers, in float32 as in float16).
        answers = [completed(model, prompt) for _ in range(TRIES)]
        assert wanted in answers, prompt


def test_both_copies_answer_behind_one_service(two_copies: Served, model: Model) -> None:
    for _ in range(4):
        assert model.ask("Say yes.", 1, 60).completed
    of_vllm = replace(model, endpoint=live.vllm_url(two_copies.outputs["service"]))
    metrics = get(f"{of_vllm.endpoint}/metrics")
    of_each = [line for line in metrics.splitlines() if line.startswith(f"{GENERATED_TOKENS}{{")]
    assert len(of_each) == 2
    assert all(float(line.split()[-1]) > 0 for line in of_each), "one of the copies has had no request"
    assert sum_of(metrics, GENERATED_TOKENS) == of_vllm.metrics(10).tokens
    assert live.ready_endpoints(live.engine_service(two_copies.outputs["service"])) == 1
    assert all(map(live.is_ready, live.pods(live.HEAD)))
    assert two_copies.outputs["plan"]["parallelism"] == "data 2 × tensor 1 × pipeline 1"
    assert is_one_vllm(live.COPY, copies=2)


def test_each_api_server_wants_the_key(two_copies: Served) -> None:
    vllm = live.vllm_url(two_copies.outputs["service"])
    assert live.count("VLLM::APIServer_") == API_SERVERS
    for _ in range(5 * API_SERVERS):  # a connection of its own goes to the one or the other
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(f"{vllm}/v1/models")
        assert refused.value.code == HTTPStatus.UNAUTHORIZED


def test_tokens_are_counted_by_key_and_limited_over_both_api_servers(two_copies: Served, model: Model) -> None:
    before, used = counted(two_copies), list[dict[str, int]]()
    while sum(usage["total_tokens"] for usage in used) < TOKENS_PER_MINUTE:
        used.append(json.loads(ask(model, TEAM_KEY))["usage"])
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(model, TEAM_KEY)
    assert refused.value.code == HTTPStatus.TOO_MANY_REQUESTS
    assert 1 <= int(refused.value.headers["Retry-After"]) <= 60
    assert json.load(refused.value)["error"]["code"] == "rate_limit_exceeded"
    stream = ask(model, Path(model.key_file).read_text(), stream=True)
    assert '"usage":{' not in stream, "the client did not ask for it"
    growth = {key: tokens - before.get(key, 0) for key, tokens in counted(two_copies).items()}
    assert growth[TEAM, "prompt"] == sum(usage["prompt_tokens"] for usage in used)
    assert growth[TEAM, "answer"] == sum(usage["completion_tokens"] for usage in used)
    assert growth["apiKey", "answer"] == TOKENS


@pytest.mark.parametrize("fault", swept(faults.COPY_LOST, sample=0))
def test_the_loss_of_a_copy_is_noticed_and_told_and_served_again(
    fault: Fault, observer: Observer, in_flight: list[LongRequest]
) -> None:
    detected, recovered = from_fault_to_serving(fault, observer, in_flight)
    print(f"{fault}: detected after {detected} s, served again after {recovered} s")  # noqa: T201
    wait_for("single vLLM", partial(is_one_vllm, live.COPY, copies=2), 60)


def ask(model: Model, key: str, *, stream: bool = False) -> str:
    body: dict[str, Any] = {"model": model.name, "prompt": PROMPTS[0], "max_tokens": TOKENS, "ignore_eos": True}
    return get(f"{model.endpoint}/v1/completions", body | {"stream": stream}, key)


def counted(two_copies: Served) -> dict[tuple[str, str], int]:
    """Return the tokens that vLLM has counted, by name of the key and kind."""
    metrics = get(f"{live.vllm_url(two_copies.outputs['service'])}/metrics")
    found = re.findall(r'^deepseek_tokens_total\{key="([^"]+)",kind="([a-z]+)"\} ([0-9.e+]+)$', metrics, re.MULTILINE)
    return {(key, kind): int(float(tokens)) for key, kind, tokens in found}


def completed(model: Model, prompt: str) -> list[int]:
    body: dict[str, Any] = {"model": model.name, "prompt": prompt, "max_tokens": TOKENS, "temperature": 0}
    body |= {"ignore_eos": True, "return_token_ids": True}
    return json.loads(get(f"{model.endpoint}/v1/completions", body, Path(model.key_file).read_text()))["choices"][0][
        "token_ids"
    ]


def get(url: str, body: dict[str, Any] | None = None, key: str = "") -> str:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None, headers)
    with urllib.request.urlopen(request, timeout=120) as response:
        return response.read().decode()
