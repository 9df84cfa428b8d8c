"""Several pods at one volume."""

import errno
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import download_program
import fetch
import lease
import pytest
import repetition
from download_settings import from_environment
from failure import Failed, MayPass
from faulty_server import FaultyServer
from fetch_pods import LARGE, Repository, Volume, wait_until
from inventory import ModelFile, shares
from lease import Lease, hold


def test_two_downloads_at_once_do_the_work_of_one(repository: Repository, server: FaultyServer, volume: Volume) -> None:
    pods = [volume.start(JOB_NAME=f"job-{number}") for number in range(2)]
    assert [volume.end(pod).code for pod in pods] == [0, 0]
    assert volume.content() == repository.content
    assert server.faults.sent_bytes == sum(LARGE.values())


def test_each_pod_brings_its_share_and_the_first_finishes(
    repository: Repository, server: FaultyServer, volume: Volume
) -> None:
    job = {"DOWNLOAD_PODS": "2", "JOB_NAME": "job"}
    second = volume.end(volume.start(JOB_COMPLETION_INDEX="1", **job))
    assert second.code == 0, second.log
    share = server.faults.sent_bytes
    assert 0 < share < sum(LARGE.values())
    assert not volume.marker.exists()
    first = volume.end(volume.start(JOB_COMPLETION_INDEX="0", **job))
    assert first.code == 0, first.log
    assert server.faults.sent_bytes == sum(LARGE.values())
    assert volume.content() == repository.content


@pytest.mark.faults
def test_the_first_pod_does_not_wait_for_ever_for_the_others(
    repository: Repository, server: FaultyServer, volume: Volume
) -> None:
    job = {"DOWNLOAD_PODS": "2", "JOB_NAME": "job"}
    server.faults.bytes_per_second = 1e6
    second = volume.start(JOB_COMPLETION_INDEX="1", **job)
    wait_until(lambda: server.faults.sent_bytes > 300_000)
    first = volume.start(JOB_COMPLETION_INDEX="0", **job)
    volume.kill(second)
    server.faults.bytes_per_second = float("inf")
    ended = volume.end(first)
    assert ended.code == 0, ended.log
    assert volume.content() == repository.content


def test_shares_are_alike_in_every_pod_and_of_similar_size() -> None:
    files = [ModelFile(f"model-{number}", 4 + number % 3, "", f"{number}") for number in range(163)]
    divided = shares(files, 4)
    assert divided == shares(list(reversed(files)), 4)
    assert sorted(file.path for share in divided for file in share) == sorted(file.path for file in files)
    sizes = [sum(file.size for file in share) for share in divided]
    assert max(sizes) - min(sizes) <= 6


def test_a_lease_of_a_living_process_is_respected(tmp_path: Path) -> None:
    with hold(tmp_path / "lease"):
        assert not Lease(tmp_path / "lease").take()
    assert not (tmp_path / "lease").exists()


def test_a_lease_of_a_dead_process_is_taken_at_once(tmp_path: Path) -> None:
    dead = Lease(tmp_path / "lease")
    dead.owner = f"{dead.owner.split()[0]} {os.getpid()} 1 token"
    assert dead.take()
    start = time.monotonic()
    with hold(tmp_path / "lease"):
        assert time.monotonic() - start < 1


def test_a_lease_of_an_equal_pod_of_another_job_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB_UID", "theirs")
    theirs = Lease(tmp_path / "lease")
    theirs.owner = f"{theirs.owner.split()[0]} {os.getpid()} 1 token"
    assert theirs.take()
    content = (tmp_path / "lease").read_text()
    assert lease.is_dead(content)
    monkeypatch.setenv("JOB_UID", "ours")
    assert not lease.is_dead(content)
    theirs.release()


def test_a_lease_of_another_host_is_taken_when_its_beat_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "STALE_SECONDS", 0.6)
    monkeypatch.setattr(lease, "POLL_SECONDS", 0.1)
    (tmp_path / "lease").write_text("elsewhere 1 12345 token 0\n")
    os.utime(tmp_path / "lease", (5e9, 5e9))
    start = time.monotonic()
    with hold(tmp_path / "lease"):
        assert time.monotonic() - start >= 0.6


def test_a_holder_that_was_suspended_notices_that_it_lost_its_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.05)
    with hold(tmp_path / "lease") as held:
        held.check()
        (tmp_path / "lease").unlink()
        (tmp_path / "lease").write_text("elsewhere 1 12345 token 0\n")
        time.sleep(0.3)
        with pytest.raises(Failed, match="Another pod took"):
            held.check()
    assert (tmp_path / "lease").exists(), "the other's lease is not removed"


class Unsteady:
    """Functions of `os` that answer with an error as long as it is set, as a network file system does for a while."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
        self.number = 0
        self.refused = 0
        for name in names:
            monkeypatch.setattr(os, name, self._unsteady(getattr(os, name)))

    def _unsteady(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def answer(*arguments: Any, **named: Any) -> Any:
            if self.number:
                self.refused += 1
                raise OSError(self.number, os.strerror(self.number))
            return real(*arguments, **named)

        return answer


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(repetition, "PAUSE_SECONDS", 0.05)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.ETIMEDOUT, errno.ENOTCONN], ids=os.strerror)
def test_the_heart_beats_on_after_the_volume_was_away(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "lease"
    read = Path.read_text

    def unsteady_read(path: Path) -> str:
        if unsteady.number:
            raise OSError(unsteady.number, os.strerror(unsteady.number))
        return read(path)

    with hold(file) as held:
        unsteady = Unsteady(monkeypatch, "pwrite", "fsync")
        monkeypatch.setattr(Path, "read_text", unsteady_read)
        unsteady.number = number
        wait_until(lambda: unsteady.refused > 3)
        unsteady.number = 0
        seen = file.read_text()
        wait_until(lambda: file.read_text() not in ("", seen))
        held.check()
    assert not file.exists()


@pytest.mark.usefixtures("quick")
def test_a_beat_goes_to_the_file_again_whose_handle_is_stale(tmp_path: Path) -> None:
    file = tmp_path / "lease"
    with hold(file) as held:
        with Path(os.devnull).open() as other:  # the kernel refuses to write there, as to a stale handle: for good
            os.dup2(other.fileno(), vars(held)["_descriptor"])
        seen = file.read_text()
        wait_until(lambda: file.read_text() not in ("", seen))
        held.check()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("function", ["close", "unlink"])
@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO], ids=os.strerror)
def test_a_share_that_is_complete_does_not_fail_when_its_lease_cannot_be_given_back(
    function: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        unsteady = Unsteady(patched, function)
        with hold(tmp_path / "lease"):
            unsteady.number = number
        assert unsteady.refused
    (tmp_path / "lease").unlink(missing_ok=True)


@pytest.mark.usefixtures("quick")
def test_a_lease_is_taken_although_the_first_tries_meet_a_stale_handle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unsteady = Unsteady(monkeypatch, "fsync")
    unsteady.number = errno.ESTALE
    threading.Timer(0.1, lambda: setattr(unsteady, "number", 0)).start()
    with hold(tmp_path / "lease"):
        assert unsteady.refused


def test_a_full_volume_is_no_error_that_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Unsteady(monkeypatch, "fsync").number = errno.ENOSPC
    with pytest.raises(OSError, match="No space left"), hold(tmp_path / "lease"):
        pass
    assert not (tmp_path / "lease").exists()


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO], ids=os.strerror)
def test_a_download_survives_an_error_of_the_volume_that_passes(
    number: int, repository: Repository, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([True, True])
    real = fetch.finish

    def unsteady(*arguments: Any) -> None:
        if next(failures, False):
            raise OSError(number, os.strerror(number))
        real(*arguments)

    monkeypatch.setattr(fetch, "finish", unsteady)
    download_program.run(from_environment(volume.environment()), fetch.attempt)
    assert volume.content() == repository.content


def test_an_error_of_the_volume_that_stays_is_left_to_another_pod(
    volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: Any) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(fetch, "make_folders", away)
    with pytest.raises(MayPass, match="Stale file handle"):
        download_program.run(from_environment(volume.environment(PATIENCE_SECONDS="0")), fetch.attempt)


@pytest.mark.faults
def test_a_suspended_pod_does_not_disturb_the_one_that_took_over(
    repository: Repository, server: FaultyServer, volume: Volume
) -> None:
    server.faults.bytes_per_second = 1e6
    suspended = volume.start()
    wait_until(lambda: server.faults.sent_bytes > 500_000)
    os.killpg(suspended.pid, signal.SIGSTOP)
    for held in volume.state.glob("*.lease"):
        held.write_text("elsewhere 1 12345 token 0\n")
        held.unlink()
    server.faults.bytes_per_second = float("inf")
    assert volume.download().code == 0
    os.killpg(suspended.pid, signal.SIGCONT)
    volume.end(suspended)
    assert volume.content() == repository.content
    assert volume.download().code == 0
