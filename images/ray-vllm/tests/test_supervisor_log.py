import pytest
import supervisor_log
from supervisor_log import events, formatted, parse


@pytest.mark.parametrize("reason", ['say "x" = y', "two\nlines", "back\\slash", "", "ü…", "a=b", "plain"])
def test_what_is_written_is_read(reason: str) -> None:
    line = formatted("failed", attempt=2, kind="exit", reason=reason, retry_in=20)
    assert "\n" not in line
    event = parse(line)
    assert event
    assert event.name == "failed"
    assert event.fields == {"attempt": "2", "kind": "exit", "reason": reason, "retry_in": "20"}
    assert event.number("retry_in") == 20
    assert event.number("kind") == event.number("absent") == 0


def test_the_lines_of_others_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    supervisor_log.say("started", submission="a")
    log = "INFO supervisor: no\n" + capsys.readouterr().out + "(APIServer pid=1) supervisor: nor this\n"
    assert [event.name for event in events(log)] == ["started"]


def test_a_long_reason_is_cut() -> None:
    assert len(formatted("failed", reason="x" * 99_999)) < 1600
