"""Weights from a bucket: whole, verified, resumed, and one download by several pods."""

import hashlib
import json
import signal
import time
from pathlib import Path

import pytest
from download_program import LASTING
from fetch_pods import flip_bit, wait_until
from s3_store import Store, new_key, require_keys
from s3_volume import SIZES, S3Volume

TOTAL = sum(SIZES.values())


def sums(volume: S3Volume) -> str:
    return json.loads(volume.marker.read_text())["commit"]


def test_every_file_of_the_list_is_on_the_volume_and_nothing_else(volume: S3Volume, content: dict[str, bytes]) -> None:
    ended = volume.download()
    assert ended.code == 0, ended.log
    assert volume.content() == content
    assert not list((volume.state / "parts").iterdir())
    assert {path.stat().st_mode & 0o444 for path in volume.directory.rglob("*.safetensors")} == {0o444}


def test_a_later_run_asks_the_store_for_nothing(volume: S3Volume) -> None:
    volume.download()
    ended = volume.download()
    assert ended.code == 0
    assert "is complete" in ended.log
    assert volume.store.faults.sent.total() == TOTAL


def test_the_digest_of_the_list_pins_the_model(volume: S3Volume, content: dict[str, bytes]) -> None:
    lines = "".join(f"{hashlib.sha256(data).hexdigest()}  ./{path}\n" for path, data in content.items())
    pinned = hashlib.sha256(lines.encode()).hexdigest()
    assert volume.download(MODEL_REVISION=pinned).code == 0
    assert sums(volume) == pinned


def test_another_list_than_the_pinned_one_is_refused(volume: S3Volume) -> None:
    ended = volume.download(MODEL_REVISION=64 * "a")
    assert ended.code == LASTING
    assert f"deepseek:model.revision pins {64 * 'a'}" in ended.reason
    assert volume.store.faults.sent.total() == 0


def test_what_a_name_means_is_looked_up_once(volume: S3Volume, content: dict[str, bytes]) -> None:
    assert volume.download().code == 0
    first = sums(volume)
    volume.store.put({**content, "config.json": b'{"other": 1}'})
    assert volume.download(VERIFY="full").code == 0
    assert sums(volume) == first
    assert volume.content() == content


def test_a_folder_with_another_model_is_not_touched(volume: S3Volume, content: dict[str, bytes]) -> None:
    assert volume.download().code == 0
    volume.store.put({**content, "config.json": b'{"other": 1}'})
    ended = volume.download(MODEL_REVISION="second")
    assert ended.code == LASTING
    assert "set deepseek:model.name" in ended.reason
    assert volume.content() == content


def test_the_same_list_at_another_address_is_the_same_model(volume: S3Volume, content: dict[str, bytes]) -> None:
    assert volume.download().code == 0
    assert volume.download(MODEL_REPOSITORY=volume.store.url().replace("127.0.0.1", "localhost")).code == 0
    assert volume.content() == content
    assert volume.store.faults.sent.total() == TOTAL


def test_connections_that_break_or_stall_are_resumed(volume: S3Volume, content: dict[str, bytes]) -> None:
    volume.store.faults.cut.extend([200_000, 100_000, 0])
    volume.store.faults.stall.extend([10**9] * 3 + [150_000])
    ended = volume.download()
    assert ended.code == 0, ended.log
    assert volume.content() == content
    assert volume.store.faults.sent.total() < 1.2 * TOTAL


@pytest.mark.parametrize("status", [500, 503, 429])
def test_errors_of_the_store_are_waited_out(status: int, volume: S3Volume, content: dict[str, bytes]) -> None:
    volume.store.faults.answers.extend([status] * 10)
    ended = volume.download()
    assert ended.code == 0, ended.log
    assert volume.content() == content


def test_a_killed_download_goes_on_where_it_was(volume: S3Volume, content: dict[str, bytes]) -> None:
    volume.store.faults.bytes_per_second = 1e6
    pod = volume.start()
    wait_until(lambda: volume.store.faults.sent["model-1.safetensors"] > 1_000_000)
    volume.kill(pod)
    assert not (volume.directory / "model-1.safetensors").exists()
    volume.store.faults.bytes_per_second = float("inf")
    ended = volume.download()
    assert ended.code == 0, ended.log
    assert volume.content() == content
    assert volume.store.faults.sent["model-1.safetensors"] < SIZES["model-1.safetensors"] + 300_000


def test_a_pod_that_is_asked_to_end_gives_its_leases_back(volume: S3Volume) -> None:
    volume.store.faults.bytes_per_second = 1e6
    pod = volume.start()
    wait_until(lambda: volume.store.faults.sent.total() > 500_000)
    pod.send_signal(signal.SIGTERM)
    assert volume.end(pod, 10).code == 128 + signal.SIGTERM
    assert not list(volume.state.glob("*.lease"))


def test_wrong_bytes_are_refused_and_named(volume: S3Volume) -> None:
    volume.store.faults.flip = True
    ended = volume.download()
    assert ended.code == LASTING
    assert "came 2 times with another SHA-256" in ended.reason
    assert not list(volume.directory.rglob("*.safetensors"))
    assert not volume.marker.exists()


def test_a_bit_that_flips_later_is_found_and_repaired(volume: S3Volume, content: dict[str, bytes]) -> None:
    assert volume.download().code == 0
    flip_bit(volume.directory / "model-2.safetensors")
    assert volume.download().code == 0
    assert volume.content() != content
    assert volume.download(VERIFY="full").code == 0
    assert volume.content() == content
    assert volume.store.faults.sent.total() == TOTAL + SIZES["model-2.safetensors"]


def test_the_pods_of_a_job_share_the_work(volume: S3Volume, content: dict[str, bytes]) -> None:
    volume.store.faults.bytes_per_second = 1e6
    pods = [
        volume.start(DOWNLOAD_PODS="2", JOB_COMPLETION_INDEX=str(index), JOB_UID="uid", JOB_NAME="") for index in (0, 1)
    ]
    for pod in pods:
        assert volume.end(pod).code == 0
    assert volume.content() == content
    assert volume.store.faults.sent.total() == TOTAL


def test_a_key_signs_and_its_secret_is_nowhere(server: int, volume: S3Volume, content: dict[str, bytes]) -> None:
    key = new_key(server)
    secret = key.partition(":")[2]
    require_keys(server, required=True)
    try:
        ended = volume.download(MODEL_TOKEN=key)
        refused = volume.download(MODEL_TOKEN=f"{key[:-3]}abc", MODEL_DIRECTORY=str(volume.path / "m" / "other"))
        anonymous = volume.download(MODEL_TOKEN="", MODEL_DIRECTORY=str(volume.path / "m" / "another"))
    finally:
        require_keys(server, required=False)
    assert ended.code == 0, ended.log
    assert volume.content() == content
    assert refused.code == anonymous.code == LASTING
    assert "refuses the key of deepseek:modelToken" in refused.reason
    assert "deepseek:modelToken KEY_ID:SECRET" in anonymous.reason
    assert all(secret not in header for header in volume.store.faults.authorizations)
    on_disk = b"".join(path.read_bytes() for path in volume.state.rglob("*") if path.is_file()).decode()
    for text in (ended.log, refused.log, refused.reason, on_disk):
        assert secret not in text
        assert key[:-3].partition(":")[2] not in text


def test_a_public_bucket_is_read_without_a_key(store: Store, volume: S3Volume, content: dict[str, bytes]) -> None:
    store.put(content, public=True)
    ended = volume.download(MODEL_TOKEN="")
    assert ended.code == 0, ended.log
    assert volume.content() == content
    assert not store.faults.authorizations


def test_a_full_volume_is_told_before_it_is_full(small_volume: S3Volume) -> None:
    ended = small_volume.download()
    assert ended.code == LASTING
    assert "enlarge deepseek:storage.size by at least" in ended.reason


def test_two_names_of_one_content_are_downloaded_once(
    store: Store, volume: S3Volume, content: dict[str, bytes]
) -> None:
    twice = {**content, "copy/model.safetensors": content["model-1.safetensors"]}
    store.put(twice)
    assert volume.download().code == 0
    assert volume.content() == twice
    assert store.faults.sent.total() == TOTAL


def test_progress_and_time_of_a_lasting_error(volume: S3Volume, tmp_path: Path) -> None:
    began = time.monotonic()
    assert volume.download(MODEL_TOKEN="no colon").code == LASTING  # noqa: S106
    assert time.monotonic() - began < 20
    assert "set it to KEY_ID:SECRET" in (tmp_path / "scratch" / "termination-log").read_text()
