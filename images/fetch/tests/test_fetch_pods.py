"""Several pods at one volume."""

import os
import signal
import time
from pathlib import Path

import lease
import pytest
from failure import Failed
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
