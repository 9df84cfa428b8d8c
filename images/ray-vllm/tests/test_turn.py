from collections.abc import Iterator

import pytest
import turn
from stub_servers import StubServer

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def serving() -> Iterator[str]:
    server = StubServer()
    server.routes["GET", "/health"] = lambda _: (200, {})
    yield server.url
    server.close()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "ASK_SECONDS", 0.01)


def wait(engine: str, *others: str, minimum: int = 1) -> str:
    environment = {"ENGINE": engine, "OTHERS": ",".join(others), "MINIMUM_SERVING": str(minimum), "SECONDS": "0.2"}
    return turn.from_environment(environment).wait()


def test_an_engine_may_end_while_another_serves(serving: str) -> None:
    assert wait(serving, serving, NOBODY) == ""


def test_an_engine_that_does_not_serve_may_end_at_once(serving: str) -> None:
    assert wait(NOBODY, NOBODY) == ""
    assert wait(NOBODY, serving, NOBODY, minimum=2) == ""


def test_the_last_one_that_serves_is_left_as_it_is(serving: str) -> None:
    reason = wait(serving, NOBODY)
    assert reason.startswith(f"{serving} serves and was left as it is: beside it 0 other engines serve")
    assert "rollout.minimumServing is 1" in reason
    assert f"{NOBODY} does not: " in reason
    assert "Connection refused" in reason


def test_as_many_as_are_wanted_must_serve(serving: str) -> None:
    assert "beside it 1 other engines serve" in wait(serving, serving, NOBODY, minimum=2)
    assert wait(serving, NOBODY, minimum=0) == ""


def test_an_engine_that_fails_to_answer_once_counts_as_one_that_serves() -> None:
    server, answers = StubServer(), iter([503, 503, 200])
    server.routes["GET", "/health"] = lambda _: (next(answers, 200), {})
    reason = wait(server.url, NOBODY)
    server.close()
    assert "was left as it is" in reason


def test_another_that_comes_back_in_time_is_waited_for(serving: str) -> None:
    server, answers = StubServer(), iter([503, 503, 503])
    server.routes["GET", "/health"] = lambda _: (next(answers, 200), {})
    assert wait(serving, server.url) == ""
    server.close()
