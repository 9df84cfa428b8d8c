import json
import os
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from local.machine import processes
from local.machine.processes import Daemon, ProcessFailed, Supervisor


@pytest.fixture
def daemons(tmp_path: Path) -> Generator[Supervisor]:
    supervisor = Supervisor(tmp_path / "records", tmp_path / "logs")
    yield supervisor
    for name in supervisor.names():
        supervisor.stop(name, seconds=0.2)


def shell(script: str, *, ready: Callable[[], bool] = lambda: True, seconds: float = 5.0) -> Daemon:
    return Daemon(name="it", command=("/bin/sh", "-c", script), ready=ready, ready_seconds=seconds)


def test_a_daemon_is_started_once_and_then_only_verified(daemons: Supervisor) -> None:
    assert daemons.ensure(shell("exec sleep 60"))
    pid = daemons.pid("it")
    assert pid is not None
    assert not daemons.ensure(shell("exec sleep 60"))
    assert daemons.pid("it") == pid


def test_a_changed_command_or_file_restarts_it(daemons: Supervisor, tmp_path: Path) -> None:
    file = tmp_path / "folder" / "configuration"
    command = ("/bin/sleep", "60")

    def daemon(text: str) -> Daemon:
        return Daemon(name="it", command=command, ready=lambda: True, files={file: text})

    daemons.ensure(daemon("one"))
    first = daemons.pid("it")
    assert daemons.ensure(daemon("two"))
    assert file.read_text() == "two"
    assert daemons.pid("it") not in (first, None)
    assert processes.start_time(first or 0) is None, "the one before has ended"


def test_one_that_died_is_started_again(daemons: Supervisor) -> None:
    daemons.ensure(shell("exec sleep 60"))
    pid = daemons.pid("it") or 0
    os.kill(pid, 9)
    while processes.start_time(pid) is not None:
        pass
    assert daemons.pid("it") is None
    assert daemons.names() == ["it"], "it counts as started until it is stopped"
    assert daemons.ensure(shell("exec sleep 60"))


def test_one_that_ends_at_once_is_an_error_with_its_last_words_and_its_log(daemons: Supervisor) -> None:
    with pytest.raises(ProcessFailed, match=r"ended right after its start\n    \| no such flag\n  Its log: .*/it.log"):
        daemons.ensure(shell("echo no such flag >&2; exit 2", ready=lambda: False))


def test_one_that_is_never_ready_is_an_error_after_a_bounded_time(daemons: Supervisor) -> None:
    with pytest.raises(ProcessFailed, match="not ready after 0 s"):
        daemons.ensure(shell("exec sleep 60", ready=lambda: False, seconds=0.2))


def test_one_that_ignores_the_request_to_end_is_killed(daemons: Supervisor, tmp_path: Path) -> None:
    armed = tmp_path / "armed"
    daemons.ensure(shell(f"trap '' TERM; touch {armed}; while :; do sleep 0.1; done", ready=armed.exists))
    pid = daemons.pid("it") or 0
    daemons.stop("it", seconds=0.2)
    assert processes.start_time(pid) is None
    assert daemons.names() == []


@pytest.mark.parametrize("changed", [{"started": 1}, {"boot": "another"}])
def test_a_stranger_with_the_same_process_id_is_left_alone(
    daemons: Supervisor, tmp_path: Path, changed: dict[str, object]
) -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as stranger:
        record = {"pid": stranger.pid, "started": processes.start_time(stranger.pid), "boot": processes.boot_id()}
        (tmp_path / "records").mkdir()
        (tmp_path / "records" / "it.json").write_text(json.dumps({**record, "fingerprint": "", **changed}))
        assert daemons.pid("it") is None
        daemons.stop("it")
        assert stranger.poll() is None
        stranger.kill()


def test_it_sees_nothing_of_the_callers_environment(daemons: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://somewhere")
    daemons.ensure(shell('echo "proxy=$HTTPS_PROXY"; exec sleep 60'))
    while not (output := daemons.log("it").read_text()):
        pass
    assert output == "proxy=\n"


def test_the_output_of_the_run_before_is_kept(daemons: Supervisor) -> None:
    for word in ("one", "two"):
        daemons.ensure(shell(f"echo {word}; exec sleep 60"))
        while not daemons.log("it").read_text():
            pass
    assert daemons.log("it").read_text() == "two\n"
    assert daemons.log("it").with_suffix(".log.1").read_text() == "one\n"
