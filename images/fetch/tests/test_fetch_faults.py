"""What servers, networks, volumes and people do to a download."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import download_program
import fetch
import lfs_repository
import pytest
from download_settings import from_environment
from failure import Failed
from faulty_server import FaultyServer, Refusal
from fetch_pods import LARGE, TOKEN, Repository, Volume, fill, flip_bit, make_repository, wait_until

pytestmark = pytest.mark.faults


def object_in(volume: Volume, size: int) -> Path:
    return next(path for path in (volume.directory / ".git/lfs/objects").rglob("*") if path.stat().st_size == size)


def has_object(volume: Volume, size: int) -> bool:
    paths = (volume.directory / ".git/lfs/objects").rglob("*")
    return any(path.is_file() and path.stat().st_size == size for path in paths)


def kill_at_random(volume: Volume, times: int, longest: float, seed: int) -> None:
    moments = random.Random(seed)
    for _ in range(times):
        pod = volume.start()
        time.sleep(moments.uniform(0, longest))
        volume.kill(pod)


def test_killed_at_random_moments_it_goes_on(repository: Repository, server: FaultyServer, volume: Volume) -> None:
    server.faults.bytes_per_second = 2e6
    kill_at_random(volume, times=3, longest=1.5, seed=1)
    server.faults.bytes_per_second = float("inf")
    assert volume.download().code == 0
    assert volume.content() == repository.content


def test_killed_at_25_random_moments_it_loses_nothing(
    repository: Repository, server: FaultyServer, volume: Volume
) -> None:
    server.faults.bytes_per_second = 3e5
    kill_at_random(volume, times=25, longest=2.5, seed=2)
    server.faults.bytes_per_second = float("inf")
    assert volume.download().code == 0
    assert volume.content() == repository.content
    in_flight = 25 * len(LARGE) * 50_000
    assert server.faults.sent_bytes <= sum(LARGE.values()) + in_flight


def test_a_stopped_download_gives_its_lease_back(repository: Repository, server: FaultyServer, volume: Volume) -> None:
    server.faults.bytes_per_second = 1e6
    pod = volume.start()
    wait_until(lambda: server.faults.sent_bytes > 500_000)
    pod.send_signal(signal.SIGTERM)
    assert volume.end(pod, 5).code == 128 + signal.SIGTERM
    assert not list(volume.state.glob("*.lease"))
    server.faults.bytes_per_second = float("inf")
    assert volume.download().code == 0
    assert volume.content() == repository.content


@pytest.mark.parametrize("status", [500, 503])
def test_errors_of_the_server_are_waited_out(
    status: int, repository: Repository, server: FaultyServer, volume: Volume
) -> None:
    server.faults.answers.extend([Refusal(status)] * 3)
    ended = volume.download()
    assert ended.code == 0, ended.log
    assert volume.content() == repository.content


def test_a_busy_server_is_asked_again_when_it_says(
    repository: Repository, server: FaultyServer, volume: Volume
) -> None:
    server.faults.answers.extend([Refusal(429, {"Retry-After": "1"}), Refusal(429)])
    ended = volume.download()
    assert ended.code == 0, ended.log
    assert volume.content() == repository.content


def test_connections_that_break_or_stall_are_resumed(
    repository: Repository, server: FaultyServer, volume: Volume
) -> None:
    server.faults.cut.extend([200_000, 100_000, 0])
    server.faults.stall.extend([10**9] * 3 + [150_000])
    ended = volume.download()
    assert ended.code == 0, ended.log
    assert volume.content() == repository.content
    assert server.faults.sent_bytes < 1.2 * sum(LARGE.values())


def test_a_server_that_stays_broken_ends_with_its_words(server: FaultyServer, volume: Volume) -> None:
    server.faults.answers.extend([Refusal(503)] * 1000)
    ended = volume.download(PATIENCE_SECONDS="2")
    assert ended.code == download_program.MAY_PASS
    assert "Nothing new came for 2 s" in ended.reason
    assert "503" in ended.reason


def test_a_private_repository_asks_for_the_token(server: FaultyServer, volume: Volume) -> None:
    server.token = TOKEN
    ended = volume.download()
    assert ended.code == 1
    assert "asks for a token, and none is configured" in ended.reason
    assert "deepseek:modelToken" in ended.reason


def test_the_token_goes_to_no_other_server(
    serve: Callable[[Path], FaultyServer], server: FaultyServer, volume: Volume, tmp_path: Path
) -> None:
    foreign = serve(tmp_path)
    foreign.token = TOKEN[::-1]
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "model.safetensors").write_bytes(bytes(5000))
    (tmp_path / "files" / ".lfsconfig").write_text(f"[lfs]\nurl = {foreign.url()}/info/lfs\n")
    lfs_repository.commit(tmp_path / "model.git", tmp_path / "files")
    server.root, server.token = tmp_path, TOKEN
    ended = volume.download(MODEL_TOKEN=TOKEN, PATIENCE_SECONDS="1")
    assert ended.code == 1
    assert server.faults.authorizations
    assert foreign.faults.requests
    assert not foreign.faults.authorizations


def test_a_password_in_the_address_is_refused(server: FaultyServer, volume: Volume) -> None:
    ended = volume.download(MODEL_REPOSITORY=server.url().replace("http://", "http://me:secret@"))
    assert ended.code == 1
    assert "password" in ended.reason
    assert "secret" not in ended.reason.replace("MODEL_TOKEN", "")


@pytest.mark.parametrize(
    ("revision", "found"), [("mian", "it has main"), ("e815299b0bcbac849fa540c768ef21845365c9eb", "has no commit")]
)
def test_a_revision_that_does_not_exist_is_named(revision: str, found: str, volume: Volume) -> None:
    ended = volume.download(MODEL_REVISION=revision)
    assert ended.code == 1
    assert revision in ended.reason
    assert found in ended.reason
    assert "deepseek:model.revision" in ended.reason


def test_a_repository_that_does_not_exist_is_named(server: FaultyServer, volume: Volume) -> None:
    ended = volume.download(MODEL_REPOSITORY=server.url("nothing.git"))
    assert ended.code == 1
    assert "There is no repository at" in ended.reason
    assert "deepseek:model.repository" in ended.reason


def test_an_object_that_was_never_uploaded_is_named(
    repository: Repository, server: FaultyServer, volume: Volume, tmp_path: Path
) -> None:
    copy = repository.copy(tmp_path)
    size = LARGE["model-2.safetensors"]
    next(path for path in (copy / "lfs").rglob("*") if path.stat().st_size == size).unlink()
    server.root = tmp_path
    ended = volume.download()
    assert ended.code == 1
    assert "lacks 1 of the model's files (model-2.safetensors)" in ended.reason
    assert has_object(volume, LARGE["model-1.safetensors"]), "the others are not worth waiting for"
    server.root = repository.root
    assert volume.download().code == 0


def test_a_bit_that_flips_before_the_marker_is_found(
    repository: Repository, server: FaultyServer, volume: Volume
) -> None:
    server.faults.bytes_per_second = 2e6
    pod = volume.start()
    wait_until(lambda: has_object(volume, 1_000_000))
    volume.kill(pod)
    flip_bit(object_in(volume, 1_000_000))
    server.faults.bytes_per_second = float("inf")
    ended = volume.download()
    assert ended.code == 0
    assert "model-3.safetensors is damaged" in ended.log
    assert volume.content() == repository.content


def test_a_bit_that_flips_after_the_marker_is_repaired_by_full_verification(
    repository: Repository, volume: Volume
) -> None:
    volume.download()
    flip_bit(volume.directory / "model-1.safetensors")
    flip_bit(volume.directory / "config.json", 3)
    ended = volume.download(VERIFY="full")
    assert ended.code == 0, ended.log
    assert "model-1.safetensors is damaged" in ended.log
    assert "config.json changed" in ended.log
    assert volume.content() == repository.content


def test_a_file_that_lost_its_end_or_its_name_is_repaired_without_being_asked(
    repository: Repository, volume: Volume
) -> None:
    volume.download()
    os.truncate(volume.directory / "model-1.safetensors", 1000)
    (volume.directory / "model-2.safetensors").unlink()
    (volume.directory / "config.json").unlink()
    assert volume.download().code == 0
    assert volume.content() == repository.content


def test_locks_of_killed_processes_do_not_stop_the_next_one(repository: Repository, volume: Volume) -> None:
    volume.download()
    (volume.directory / "model-1.safetensors").unlink()
    object_in(volume, LARGE["model-1.safetensors"]).unlink()
    for lock in ("config.lock", "index.lock", "HEAD.lock", "shallow.lock"):
        (volume.directory / ".git" / lock).touch()
    assert volume.download().code == 0
    assert volume.content() == repository.content


def test_a_marker_that_is_damaged_is_made_again(server: FaultyServer, repository: Repository, volume: Volume) -> None:
    volume.download()
    sent = server.faults.sent_bytes
    volume.marker.write_text(volume.marker.read_text()[:100])
    (volume.state / "inventory.json").write_text("")
    assert volume.download().code == 0
    assert volume.content() == repository.content
    assert server.faults.sent_bytes == sent


def test_another_address_that_does_not_answer_is_named(volume: Volume) -> None:
    volume.download()
    ended = volume.download(MODEL_REPOSITORY="http://127.0.0.1:9/model.git")
    assert ended.code == 1
    assert "http://127.0.0.1:9/model.git" in ended.reason


def test_a_volume_of_another_user_is_named(volume: Volume) -> None:
    os.seteuid(1000)
    try:
        with pytest.raises(Failed, match="refuses uid 1000"):
            download_program.run(from_environment(volume.environment()), fetch.attempt)
    finally:
        os.seteuid(0)


def test_a_volume_that_is_read_only_is_named(small_volume: Volume) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_volume.path], check=True)
    ended = small_volume.download()
    assert ended.code == 1
    assert "is read-only" in ended.reason
    assert "Read-only file system" in ended.reason


def test_a_model_that_does_not_fit_is_refused_before_its_download(
    serve: Callable[[Path], FaultyServer], small_volume: Volume, tmp_path: Path
) -> None:
    make_repository(tmp_path / "large", {"model.safetensors": 9_000_000})
    small_volume.server = serve(tmp_path / "large")
    ended = small_volume.download()
    assert ended.code == 1
    assert "8.6 MiB are still to come and the volume has" in ended.reason
    assert "deepseek:storage.size" in ended.reason
    assert not small_volume.server.faults.sent_bytes


def test_a_volume_that_others_fill_meanwhile_is_named(small_volume: Volume, server: FaultyServer) -> None:
    server.faults.bytes_per_second = 2e6
    pod = small_volume.start()
    wait_until(lambda: server.faults.sent_bytes > 500_000)
    filler = small_volume.path / "filler"
    fill(filler)
    server.faults.bytes_per_second = float("inf")
    ended = small_volume.end(pod)
    assert ended.code == 1
    assert "The volume" in ended.reason
    assert "deepseek:storage.size" in ended.reason
    filler.unlink()
    assert small_volume.download().code == 0
