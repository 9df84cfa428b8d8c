from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
import readiness
from completion import Model
from stub_servers import StubModel

Check: TypeAlias = Callable[[float], str]


@pytest.fixture
def check(model: StubModel, tmp_path: Path) -> Check:
    """Probe at a time in seconds; the model hangs when its answer is None."""
    return lambda now: readiness.check(Model(model.url, "m"), tmp_path / "state.json", now, warm_tokens=0, timeout=0.05)


def test_not_ready_before_the_first_answer(model: StubModel, check: Check) -> None:
    model.answer = None
    assert check(0) == "no answer within 0.05 s"


def test_not_ready_without_a_server(tmp_path: Path) -> None:
    problem = readiness.check(Model("http://127.0.0.1:9", "m"), tmp_path / "state", 0, warm_tokens=0)
    assert "refused" in problem


def test_ready_with_an_answer_even_an_empty_token(model: StubModel, check: Check) -> None:
    model.answer = ""
    assert check(0) == ""


def test_a_base_model_is_ready_when_it_completes_a_text(model: StubModel, check: Check) -> None:
    model.has_chat_template = False
    assert check(0) == ""


def test_a_busy_engine_that_gives_tokens_to_others_stays_ready(model: StubModel, check: Check) -> None:
    assert check(0) == ""
    model.answer = None
    for now in range(5, 200, 20):
        model.generated += 1
        assert check(now) == ""


def test_an_engine_that_computes_a_long_prompt_stays_ready(model: StubModel, check: Check) -> None:
    assert check(0) == ""
    model.answer = None
    for now in range(5, 400, 20):
        model.cache_usage += 0.001
        assert check(now) == ""


def test_a_hung_engine_loses_its_endpoint_after_a_minute(model: StubModel, check: Check) -> None:
    assert check(0) == ""
    model.answer = None
    assert check(5) == ""
    assert check(59) == ""
    assert "no token for 60 s" in check(60)
    model.answer = "back"
    assert check(65) == ""


def test_a_dead_engine_loses_its_endpoint_at_once(model: StubModel, check: Check) -> None:
    assert check(0) == ""
    model.status = 500
    assert "engine is dead" in check(5)
    model.status, model.answer = 200, None
    assert check(10) != "", "what was before the death does not count any more"


def test_a_key_file_without_a_key_takes_the_endpoint_away_until_it_is_whole_again(
    model: StubModel, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    asked = Model(model.url, "m", str(key))
    states: list[str] = []
    for content in ("a-key-of-the-model", "", "a-key-of-the-model"):
        key.write_text(content)
        states.append(readiness.check(asked, tmp_path / "state.json", 0, warm_tokens=0))
    assert states == ["", f"the file {key} holds no API key to ask with", ""]


def test_a_broken_state_file_is_as_none(check: Check, tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("{")
    assert check(0) == ""
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]


def test_not_ready_before_it_is_warm_and_ready_from_then_on(model: StubModel, tmp_path: Path) -> None:
    def check(now: float) -> str:
        return readiness.check(Model(model.url, "m"), tmp_path / "state.json", now, warm_tokens=100)

    assert check(0) == "it warms up: 1 of 100 tokens, at most 120 s more"
    model.generated = 98
    assert check(10) == "it warms up: 99 of 100 tokens, at most 110 s more"
    assert check(20) == ""
    model.generated = 0
    assert check(30) == "", "what was warm stays so as long as the server is there"
    model.status = 500
    assert check(40) != ""
    model.status = 200
    assert "it warms up" in check(50), "another server is not warm yet"


def test_a_warm_up_that_fails_does_not_keep_a_model_from_being_ready(model: StubModel, tmp_path: Path) -> None:
    states = [
        readiness.check(Model(model.url, "m"), tmp_path / "state.json", now, warm_tokens=100) == ""
        for now in (0, 119, 120, 130)
    ]
    assert states == [False, False, True, True]


def test_the_probe_ends_before_the_kubelet_gives_it_up() -> None:
    assert 2 * readiness.TIMEOUT_SECONDS < readiness.LIMIT_SECONDS < 10
