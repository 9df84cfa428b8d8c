"""The warm-up load against a stand-in model: what is sent, and that nothing of it holds up serving."""

import time
from collections.abc import Callable

import pytest
import warm_load
import warm_up
from attempts import Serve, is_serving, told, when
from completion import Model
from stub_servers import Body, Reply, StubModel, StubRay
from warm_load import WarmLoad
from warm_up import WarmUp

LOAD = WarmLoad(at_once=(1, 4), prompt_tokens=(3, 40), answer_tokens=5)


def finished(begun: WarmUp) -> WarmUp:
    deadline = time.monotonic() + 10
    while not begun.over and time.monotonic() < deadline:
        time.sleep(0.01)
    assert begun.over
    return begun


@pytest.fixture
def bodies(model: StubModel) -> list[Body]:
    """What the model is asked to complete."""
    asked: list[Body] = []
    complete = model.routes["POST", "/v1/completions"]

    def note(body: Body) -> Reply:
        asked.append(body)
        return complete(body)

    model.routes["POST", "/v1/completions"] = note
    return asked


def test_it_sends_the_rounds_with_prompts_of_each_length_that_differ_from_the_start(
    model: StubModel, bodies: list[Body]
) -> None:
    done = finished(WarmUp(Model(model.url, "m"), LOAD))
    assert (done.requests, done.problems) == (5, [])
    assert model.generated == LOAD.tokens == 25
    prompts = [body["prompt"] for body in bodies]
    assert sorted(map(len, prompts)) == [3, 3, 3, 40, 40]
    assert len({prompt[0] for prompt in prompts[1:]}) == 4
    assert all(0 < token <= 100 for prompt in prompts for token in prompt)
    assert all(body["max_tokens"] == 5 and body["ignore_eos"] for body in bodies)


def test_prompts_fit_a_model_of_short_texts(model: StubModel, bodies: list[Body]) -> None:
    model.routes["GET", "/v1/models"] = lambda _: (200, {"data": [{"id": "m", "max_model_len": 32}]})
    finished(WarmUp(Model(model.url, "m"), LOAD))
    assert max(len(body["prompt"]) for body in bodies) == 16


def test_a_server_that_has_answered_as_much_is_left_alone(model: StubModel, bodies: list[Body]) -> None:
    model.generated = LOAD.tokens
    assert finished(WarmUp(Model(model.url, "m"), LOAD)).requests == 0
    assert bodies == []


def test_refusals_are_remembered(model: StubModel) -> None:
    model.status = 400
    assert finished(WarmUp(Model(model.url, "m"), LOAD)).problems[0].startswith("HTTP 400")


def test_a_server_that_hangs_is_waited_for_no_longer_than_the_bound(
    model: StubModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm_up, "METRICS_SECONDS", 0.2)
    model.answer = None
    began = time.monotonic()
    finished(WarmUp(Model(model.url, "m"), LOAD, seconds=0.3))
    assert time.monotonic() - began < 5


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize(
    ("product", "requests"), [("NVIDIA-H200", sum(warm_load.ON_GPUS.at_once)), ("", sum(warm_load.ON_CPUS.at_once))]
)
def test_a_model_serves_when_it_is_warm(
    product: str, requests: int, ray: StubRay, model: StubModel, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    when(is_serving, lambda: ray.end_job("abc-1"))
    serve(GPU_PRODUCT=product)
    [warmed] = [event for event in told(capsys) if event.name == "warmed_up"]
    assert (warmed.fields["requests"], warmed.fields["failed"]) == (str(requests), "0")
    assert model.generated >= requests * warm_load.ON_GPUS.answer_tokens


@pytest.mark.usefixtures("fast")
def test_a_model_whose_warm_up_fails_serves_and_it_is_told(
    ray: StubRay, model: StubModel, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    model.routes["POST", "/v1/completions"] = refuse()
    when(is_serving, lambda: ray.end_job("abc-1"))
    assert serve().kind == "exit"
    [warmed] = [event for event in told(capsys) if event.name == "warmed_up"]
    assert warmed.fields["failed"] == "4"
    assert warmed.fields["reason"].startswith("HTTP 400: no completions here")


def refuse() -> Callable[[Body], Reply]:
    return lambda _: (400, "no completions here")
