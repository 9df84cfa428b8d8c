"""What everybody meets: a download, the runs after it, a pod that is killed, a token."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import lfs_repository
import pytest
from faulty_server import FaultyServer, serving
from fetch_pods import LARGE, SMALL, TOKEN, Repository, Volume, wait_until


def disk_bytes(folder: Path) -> int:
    """Bytes on the disk below a folder, each block once."""
    found = {(status.st_dev, status.st_ino): status.st_blocks * 512 for status in map(os.lstat, folder.rglob("*"))}
    return sum(found.values())


@pytest.fixture(scope="module")
def complete(repository: Repository, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Volume]:
    """A volume after its download, only to be looked at."""
    folder = tmp_path_factory.mktemp("complete")
    with serving(repository.root) as server:
        volume = Volume(folder / "volume", folder / "scratch", server)
        ended = volume.download()
        assert ended.code == 0, ended.log
        yield volume


def test_every_file_arrives_and_is_on_the_disk_once(repository: Repository, complete: Volume) -> None:
    assert complete.content() == repository.content
    large = sum(LARGE.values())
    assert large <= disk_bytes(complete.directory) <= large + 400_000, "more than once on the disk"
    assert not (complete.directory / ".git/lfs/incomplete").exists()


def test_marker_names_commit_files_bytes_and_digests(repository: Repository, complete: Volume) -> None:
    marker = json.loads(complete.marker.read_text())
    assert marker["commit"] == repository.commit
    assert marker["revision"] == "main"
    files = {file["path"]: file for file in marker["files"]}
    assert set(files) == {*repository.content, ".gitattributes"}
    assert files["model-1.safetensors"]["size"] == LARGE["model-1.safetensors"]
    assert len(files["model-1.safetensors"]["sha256"]) == 64
    assert marker["bytes"] == sum(file["size"] for file in files.values())


def test_git_lfs_finds_its_objects_afterwards(complete: Volume) -> None:
    checked = subprocess.run(["git", "lfs", "fsck"], cwd=complete.directory, capture_output=True, text=True, check=True)
    assert "OK" in checked.stdout


def test_files_are_readable_for_the_group_and_the_cache_is_writable(complete: Volume) -> None:
    assert (complete.path / "cache").stat().st_mode & 0o7777 == 0o2775
    modes = [path.stat().st_mode for path in complete.directory.rglob("*") if path.is_file()]
    assert all(mode & 0o440 == 0o440 for mode in modes)


def test_a_second_run_asks_the_server_nothing(server: FaultyServer, volume: Volume) -> None:
    volume.download()
    server.faults.requests.clear()
    ended = volume.download()
    assert ended.code == 0
    assert "is complete" in ended.log
    assert not server.faults.requests


def test_a_branch_that_moves_on_does_not_change_what_is_on_the_volume(
    repository: Repository, volume: Volume, tmp_path: Path
) -> None:
    repository.copy(tmp_path)
    volume.server.root = tmp_path
    volume.download()
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "config.json").write_text("{}")
    assert lfs_repository.commit(tmp_path / "model.git", tmp_path / "files") != repository.commit
    assert volume.download(VERIFY="full").code == 0
    assert volume.content() == repository.content


def test_a_commit_is_taken_as_it_is(repository: Repository, volume: Volume) -> None:
    assert volume.download(MODEL_REVISION=repository.commit).code == 0
    assert volume.content() == repository.content


def test_a_tag_is_resolved_to_its_commit(repository: Repository, volume: Volume, tmp_path: Path) -> None:
    copy = repository.copy(tmp_path)
    lfs_repository.git(copy, "tag", "-a", "v1", "-m", "first", "main")
    volume.server.root = tmp_path
    assert volume.download(MODEL_REVISION="v1").code == 0
    assert json.loads(volume.marker.read_text())["commit"] == repository.commit


def test_another_address_of_the_same_commit_is_not_downloaded_again(
    repository: Repository, server: FaultyServer, volume: Volume
) -> None:
    volume.download()
    sent = server.faults.sent_bytes
    (repository.root / "mirror.git").symlink_to("model.git")
    ended = volume.download(MODEL_REPOSITORY=server.url("mirror.git"))
    assert ended.code == 0, ended.log
    assert server.faults.sent_bytes == sent


def test_another_repository_does_not_replace_what_may_be_served(
    repository: Repository, server: FaultyServer, volume: Volume, tmp_path: Path
) -> None:
    volume.download()
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "config.json").write_text("{}")
    lfs_repository.commit(repository.root / "other.git", tmp_path / "files")
    ended = volume.download(MODEL_REPOSITORY=server.url("other.git"))
    assert ended.code == 1
    assert "deepseek:model.name" in ended.reason
    assert volume.content() == repository.content


def test_equal_files_and_links_are_kept_as_they_are_in_git(volume: Volume, tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "one.safetensors").write_bytes(b"equal" * 1000)
    (files / "two.safetensors").write_bytes(b"equal" * 1000)
    (files / "linked.json").symlink_to("config.json")
    (files / "config.json").write_bytes(SMALL["config.json"])
    lfs_repository.commit(tmp_path / "model.git", files)
    volume.server.root = tmp_path
    assert volume.download().code == 0
    assert volume.content()["one.safetensors"] == volume.content()["two.safetensors"] == b"equal" * 1000
    assert (volume.directory / "linked.json").readlink() == Path("config.json")


def test_times_of_files_do_not_matter(repository: Repository, server: FaultyServer, volume: Volume) -> None:
    volume.download()
    for path in volume.directory.rglob("*"):
        os.utime(path, (0, 0) if path.name < "m" else (5e9, 5e9), follow_symlinks=False)
    sent = server.faults.sent_bytes
    assert volume.download().code == 0
    assert volume.download(VERIFY="full").code == 0
    assert server.faults.sent_bytes == sent
    assert volume.content() == repository.content


def test_a_killed_download_is_resumed_and_not_started_again(server: FaultyServer, volume: Volume) -> None:
    server.faults.bytes_per_second = 2e6
    pod = volume.start()
    wait_until(lambda: server.faults.sent_bytes > sum(LARGE.values()) / 2)
    volume.kill(pod)
    has = sum(path.stat().st_size for path in (volume.directory / ".git/lfs").rglob("*") if path.is_file())
    sent = server.faults.sent_bytes
    server.faults.bytes_per_second = float("inf")
    assert volume.download().code == 0
    again = server.faults.sent_bytes - sent - (sum(LARGE.values()) - has)
    assert has > 0
    assert again < 600_000, "what the volume has is not sent again"


def test_a_wrong_token_is_named_and_the_right_one_then_works(
    repository: Repository, server: FaultyServer, volume: Volume
) -> None:
    server.token = TOKEN
    wrong = volume.download(MODEL_TOKEN=TOKEN.upper())
    assert wrong.code == 1
    assert "refused the token of deepseek:modelToken" in wrong.reason
    right = volume.download(MODEL_TOKEN=TOKEN)
    assert right.code == 0, right.log
    assert volume.content() == repository.content
    everything = b"".join(path.read_bytes() for path in volume.path.rglob("*") if path.is_file())
    for token in (TOKEN, TOKEN.upper()):
        assert token not in wrong.log + right.log
        assert token.encode() not in everything, "the token is on the volume"


def test_a_server_is_reached_by_its_ipv6_address_with_the_token(repository: Repository, tmp_path: Path) -> None:
    with serving(repository.root, "::1") as server:
        server.token = TOKEN
        volume = Volume(tmp_path / "volume", tmp_path / "scratch", server)
        ended = volume.download(MODEL_TOKEN=TOKEN)
    assert ended.code == 0, ended.log
    assert volume.content() == repository.content
