import sys
import threading
from pathlib import Path

import pytest

from local.steps import CommandFailed, Step, StepLog, StepsFailed, log_path, run_steps


def test_a_step_waits_for_what_it_needs(tmp_path: Path) -> None:
    order: list[str] = []

    def step(name: str, *needs: str) -> Step:
        return Step(name=name, action=lambda _log: order.append(name), needs=needs)

    run_steps([step("last", "middle"), step("middle", "first"), step("first")], logs=tmp_path, again="make dev")
    assert order == ["first", "middle", "last"]


def test_independent_steps_run_side_by_side(tmp_path: Path) -> None:
    both_here = threading.Barrier(2, timeout=5)

    def meet(_log: StepLog) -> None:
        both_here.wait()

    run_steps([Step(name="one", action=meet), Step(name="two", action=meet)], logs=tmp_path, again="make dev")


def test_a_step_has_one_line_with_its_time_and_what_it_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_steps([Step(name="install", action=lambda _log: "already there")], logs=tmp_path, again="make dev")
    assert capsys.readouterr().err == "   0.0 s  install: already there\n"


def test_a_failure_names_step_log_its_end_and_the_command_to_run_again(tmp_path: Path) -> None:
    program = "print('no room for it'); raise SystemExit(3)"
    fails = Step(name="build it", action=lambda log: log.run([sys.executable, "-c", program]))
    with pytest.raises(StepsFailed) as failed:
        run_steps([fails], logs=tmp_path, again="make dev")
    text = str(failed.value)
    assert "The step `build it` failed" in text
    assert "ended with status 3" in text
    assert "| no room for it" in text
    assert str(tmp_path / "build-it.log") in text
    assert "Run `make dev` again" in text


def test_after_a_failure_what_runs_is_finished_and_nothing_starts(tmp_path: Path) -> None:
    failed = threading.Event()
    finished: list[str] = []

    def fail(_log: StepLog) -> None:
        failed.set()
        raise CommandFailed("no")

    def outlast(_log: StepLog) -> None:
        failed.wait(timeout=5)
        finished.append("beside")

    steps = [
        Step(name="fails", action=fail),
        Step(name="beside", action=outlast),
        Step(name="after", action=lambda _log: finished.append("after"), needs=("beside", "fails")),
    ]
    with pytest.raises(StepsFailed):
        run_steps(steps, logs=tmp_path, again="make dev")
    assert finished == ["beside"]


def test_every_failure_is_told(tmp_path: Path) -> None:
    both_here = threading.Barrier(2, timeout=5)

    def fail(_log: StepLog) -> None:
        both_here.wait()
        raise OSError("gone")

    with pytest.raises(StepsFailed, match=r"(?s)`one` failed.*`two` failed|`two` failed.*`one` failed"):
        run_steps([Step(name="one", action=fail), Step(name="two", action=fail)], logs=tmp_path, again="make dev")


def test_a_step_that_needs_an_unknown_one_is_refused_before_anything_runs(tmp_path: Path) -> None:
    ran: list[str] = []
    steps = [
        Step(name="a", action=lambda _log: ran.append("a")),
        Step(name="b", action=lambda _log: None, needs=("c",)),
    ]
    with pytest.raises(ValueError, match="no such steps: c"):
        run_steps(steps, logs=tmp_path, again="make dev")
    assert ran == []


def test_a_log_starts_anew_with_each_run(tmp_path: Path) -> None:
    for text in ("first", "second"):
        run_steps([Step(name="x", action=lambda log, text=text: log.say(text))], logs=tmp_path, again="make dev")
    assert log_path(tmp_path, "x").read_text() == "second\n"


def test_a_log_is_named_after_its_step() -> None:
    assert log_path(Path("/logs"), "build the cluster's programs") == Path("/logs/build-the-cluster-s-programs.log")
