"""What the supervisor takes for a hang, and what not: it stops vLLM for the first, and never for the second."""

import time
from collections.abc import Callable

import following
import pytest
from attempts import Serve, is_serving, told, when
from stub_servers import StubModel, StubRay

pytestmark = pytest.mark.usefixtures("fast")
HANG = "0.8"
"""Seconds without a sign of life that count as a hang here."""

NO_FILES_LEFT = "OSError: [Errno 24] Too many open files"


def statistics(running: int, second: int, prompt: float = 0.0, cache: float = 12.5) -> str:
    """Return a line of vLLM 0.32."""
    line = f"(APIServer pid=7) INFO 11-25 10:{second // 60:02}:{second % 60:02} [loggers.py:310] Engine 000: "
    line += (
        f"Avg prompt throughput: {prompt} tokens/s, Avg generation throughput: 0.0 tokens/s, Running: {running} reqs, "
    )
    return line + f"Waiting: 0 reqs, GPU KV cache usage: {cache}%, Prefix cache hit rate: 0.0%"


def unreachable(model: StubModel, how: str) -> None:
    match how:
        case "closed":
            model.turns_away = True
        case "not accepted":
            model.routes[("GET", "/metrics")] = model.routes[("POST", "/v1/chat/completions")]
            model.answer = None
        case "key refused":
            model.status = 401
        case "queue full":
            model.status = 503
        case _:
            raise ValueError(how)


ENGINE_RAISED = """(DPMoEEngineCoreActor pid=9) INFO 11-27 07:13:18 [x.py:5] fine
(DPMoEEngineCoreActor pid=9) ERROR 11-27 07:13:19 [core.py:2663] EngineCore encountered a fatal error.
(DPMoEEngineCoreActor pid=9) ERROR 11-27 07:13:19 [core.py:2663] Traceback (most recent call last):
(DPMoEEngineCoreActor pid=9) ERROR 11-27 07:13:19 [core.py:2663] RuntimeError: Worker failed with error
INFO:     203.0.113.1:33942 - "GET /health HTTP/1.1" 200 OK""".splitlines()
"""What vLLM 0.32 writes when a data-parallel rank raises. Its API servers go on."""


def for_a_while(ray: StubRay, action: Callable[[int], object]) -> None:
    """Do something again and again, for twice as long as may pass without a sign of life, and end the job."""
    for number in range(80):
        action(number)
        time.sleep(0.02)
    ray.end_job("abc-1")


def test_a_long_prompt_without_a_token_is_no_hang(ray: StubRay, model: StubModel, serve: Serve) -> None:
    def compute() -> None:
        model.answer = None
        for_a_while(ray, lambda number: setattr(model, "cache_usage", number / 1000))

    when(is_serving, compute)
    assert serve(HANG_TIMEOUT_SECONDS=HANG).kind == "exit"
    assert ray.stopped == []


@pytest.mark.parametrize(
    ("how", "moves"),
    [
        ("closed", "prompt"),
        ("closed", "cache"),
        ("not accepted", "prompt"),
        ("key refused", "cache"),
        ("queue full", "prompt"),
    ],
)
def test_what_cannot_be_reached_is_not_hung_while_its_statistics_move(
    how: str, moves: str, ray: StubRay, model: StubModel, serve: Serve
) -> None:
    def work() -> None:
        unreachable(model, how)
        for_a_while(ray, lambda n: ray.say(statistics(3, n, **{moves: 1.5 + n})))

    when(is_serving, work)
    assert serve(HANG_TIMEOUT_SECONDS=HANG).kind == "exit"
    assert ray.stopped == []


@pytest.mark.parametrize("how", ["closed", "not accepted", "key refused", "queue full"])
def test_an_engine_that_has_work_and_stands_still_is_hung_however_it_answers(
    how: str, ray: StubRay, model: StubModel, serve: Serve
) -> None:
    def hang() -> None:
        ray.say(statistics(3, 1, prompt=9.0), statistics(3, 11), NO_FILES_LEFT)
        unreachable(model, how)
        for_a_while(ray, lambda n: ray.say(statistics(3, 20 + n)))

    when(is_serving, hang)
    assert serve(HANG_TIMEOUT_SECONDS=HANG).kind == "hung"
    assert ray.stopped == ["abc-1"]


@pytest.mark.parametrize("how", ["closed", "not accepted", "key refused"])
def test_an_idle_engine_behind_a_server_that_asks_it_nothing_is_not_hung(
    how: str,
    ray: StubRay,
    model: StubModel,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(following, "REPORT_SECONDS", 0.1)

    def idle() -> None:
        ray.say(statistics(1, 1, prompt=9.0), statistics(0, 11))
        unreachable(model, how)
        for_a_while(ray, lambda _: how == "not accepted" and ray.say(NO_FILES_LEFT))

    when(is_serving, idle)
    assert serve(HANG_TIMEOUT_SECONDS=HANG).kind == "exit"
    assert ray.stopped == []
    assert "unanswered" in [event.name for event in told(capsys)]


def test_lines_of_the_log_that_are_shown_again_are_no_sign_of_life(
    ray: StubRay, model: StubModel, serve: Serve
) -> None:
    def hang() -> None:
        unreachable(model, "not accepted")
        for_a_while(ray, lambda _: ray.say(statistics(3, 1, prompt=9.0), statistics(3, 11, cache=13.0)))

    when(is_serving, hang)
    assert serve(HANG_TIMEOUT_SECONDS=HANG).kind == "hung"


def test_a_vllm_that_has_served_for_days_is_asked_before_it_is_judged_by_its_age(ray: StubRay, serve: Serve) -> None:
    ray.add_job("abc-7")
    ray.jobs["abc-7"]["start_time"] -= 3 * 24 * 3600 * 1000
    when(is_serving, lambda: ray.end_job("abc-7"))
    assert serve().kind == "exit"
    assert ray.stopped == []


def test_one_that_is_taken_over_and_cannot_be_reached_goes_on_while_it_works(
    ray: StubRay, model: StubModel, serve: Serve
) -> None:
    unreachable(model, "closed")
    ray.add_job("abc-1")
    ray.jobs["abc-1"]["start_time"] -= 3 * 24 * 3600 * 1000
    when(
        lambda: ("GET", "/metrics") in model.requests,
        lambda: for_a_while(ray, lambda n: ray.say(statistics(3, n, 1.0))),
    )
    assert serve(HANG_TIMEOUT_SECONDS=HANG).kind == "exit"
    assert ray.stopped == []


def test_nodes_that_the_head_does_not_tell_are_not_missing(
    ray: StubRay, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "NODES_SECONDS", 0.02)
    monkeypatch.setattr(following, "PATIENCE_SECONDS", 0.2)

    def busy() -> None:
        ray.routes[("GET", "/api/v0/nodes")] = lambda _: (500, "timed out")
        for_a_while(ray, lambda _: None)

    when(is_serving, busy)
    assert serve().kind == "exit"
    assert ray.stopped == []


def test_a_vllm_that_generates_lacks_no_node(
    ray: StubRay, model: StubModel, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "NODES_SECONDS", 0.02)
    monkeypatch.setattr(following, "PATIENCE_SECONDS", 1.0)

    def generate() -> None:
        ray.nodes.clear()
        for_a_while(ray, lambda _: setattr(model, "generated", model.generated + 1))

    when(is_serving, generate)
    assert serve(HANG_TIMEOUT_SECONDS=HANG).kind == "exit"
    assert ray.stopped == []


def test_a_vllm_that_goes_on_without_an_engine_is_stopped(ray: StubRay, model: StubModel, serve: Serve) -> None:
    def engine_raises() -> None:
        model.answer = None
        ray.say(*ENGINE_RAISED)
        for _ in range(10):
            time.sleep(0.05)
            ray.say(*(f'INFO:     203.0.113.1:3{n} - "GET /metrics HTTP/1.1" 200 OK' for n in range(60)))

    when(is_serving, engine_raises)
    failure = serve(HANG_TIMEOUT_SECONDS="60")
    assert failure.kind == "exit"
    assert failure.reason == "an engine has ended, and vLLM goes on without it: RuntimeError: Worker failed with error"
    assert ray.stopped == ["abc-1"]


def test_a_vllm_that_ends_after_its_engine_is_not_stopped(ray: StubRay, serve: Serve) -> None:
    def engine_raises() -> None:
        ray.say(*ENGINE_RAISED)
        time.sleep(0.1)
        ray.end_job("abc-1", exit_code=1)

    when(is_serving, engine_raises)
    assert serve().reason == "vLLM ended with exit code 1: RuntimeError: Worker failed with error"
    assert ray.stopped == []
