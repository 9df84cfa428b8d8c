"""Whose a folder is: a revision has one of its own, and the marker in it counts for that revision only."""

import json
import os
import shutil
import stat
from pathlib import Path

import lfs_repository
import pytest
from download_program import LASTING
from failure import Failed
from faulty_server import FaultyServer
from fetch_pods import LARGE, TOKEN, Repository, Volume
from repository_address import check_repository

OTHER = {"config.json": b'{"of": "another revision"}\n'}


def add_branch(repository: Repository, server: FaultyServer, scratch: Path, branch: str) -> None:
    """Let the server have that branch, of other files, beside `main` and a branch `a/b` of the same commit."""
    copy = repository.copy(scratch)
    lfs_repository.git(copy, "branch", "a/b", "main")
    files = scratch / "files"
    files.mkdir()
    for name, content in OTHER.items():
        (files / name).write_bytes(content)
    lfs_repository.commit(copy, files, branch=branch)
    server.root = scratch


def test_a_branch_whose_folder_another_one_has_is_not_called_complete(
    repository: Repository, server: FaultyServer, volume: Volume, tmp_path: Path
) -> None:
    """Versions before gave `a/b` and `a-b` one folder; file systems that ignore case do so with `A` and `a`."""
    add_branch(repository, server, tmp_path, "a-b")
    assert volume.download(MODEL_REVISION="a/b").code == 0
    for verify in ("", "full"):
        ended = volume.download(MODEL_REVISION="a-b", VERIFY=verify)
        assert ended.code == 1
        assert f"holds a/b of {server.url()}, commit {repository.commit}" in ended.reason
        assert "deepseek:model.name" in ended.reason
    assert volume.content() == repository.content


def test_a_download_that_is_not_complete_belongs_to_its_revision_too(
    repository: Repository, server: FaultyServer, volume: Volume, tmp_path: Path
) -> None:
    add_branch(repository, server, tmp_path, "a-b")
    assert volume.download(MODEL_REVISION="a/b").code == 0
    volume.marker.unlink()
    ended = volume.download(MODEL_REVISION="a-b")
    assert ended.code == 1
    assert "is another commit" in ended.reason


def test_the_same_commit_under_another_name_is_the_same(
    repository: Repository, server: FaultyServer, volume: Volume
) -> None:
    assert volume.download().code == 0
    sent = server.faults.sent_bytes
    assert volume.download(MODEL_REVISION=repository.commit).code == 0
    assert server.faults.sent_bytes == sent


def test_a_revision_with_a_slash_takes_over_what_its_earlier_folder_has(
    repository: Repository, server: FaultyServer, volume: Volume, tmp_path: Path
) -> None:
    add_branch(repository, server, tmp_path, "a-b")
    earlier, now = volume.path / "model" / "a-b", volume.path / "model" / "a+b"
    assert volume.download(MODEL_REVISION="a/b", MODEL_DIRECTORY=str(earlier)).code == 0
    lfs_repository.git(tmp_path / "model.git", "update-ref", "refs/heads/a/b", "refs/heads/a-b")
    ended = volume.download(MODEL_REVISION="a/b", MODEL_DIRECTORY=str(now))
    assert ended.code == 0, ended.log
    assert server.faults.sent_bytes == sum(LARGE.values()), "it was downloaded again"
    marker = json.loads((now / ".git" / "fetch" / "complete.json").read_text())
    assert marker["commit"] == repository.commit, "a branch is resolved once"
    for name in LARGE:
        assert (now / name).samefile(earlier / name), "it is on the disk twice"
    shutil.rmtree(earlier)
    assert volume.download(MODEL_REVISION="a/b", MODEL_DIRECTORY=str(now), VERIFY="full").code == 0
    assert server.faults.sent_bytes == sum(LARGE.values())


def test_nothing_is_taken_over_from_the_folder_of_another_revision(
    repository: Repository, server: FaultyServer, volume: Volume, tmp_path: Path
) -> None:
    add_branch(repository, server, tmp_path, "a-b")
    folder = volume.path / "model"
    assert volume.download(MODEL_REVISION="a-b", MODEL_DIRECTORY=str(folder / "a-b")).code == 0
    assert volume.download(MODEL_REVISION="a/b", MODEL_DIRECTORY=str(folder / "a+b")).code == 0
    assert (folder / "a-b" / "config.json").read_bytes() == OTHER["config.json"]
    marker = json.loads((folder / "a+b" / ".git" / "fetch" / "complete.json").read_text())
    assert marker["commit"] == repository.commit


def test_the_folder_for_compiled_code_is_there_before_any_pod_mounts_it(volume: Volume) -> None:
    cache = volume.path / "cache" / "0123456789abcdef"
    assert volume.download(CACHE_DIRECTORY=str(cache)).code == 0
    for folder in (cache.parent, cache):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o2775
        assert folder.stat().st_uid == os.geteuid()


@pytest.mark.parametrize("address", ["file:///etc", "ext::sh -c id", "/volume/model", "--upload-pack=id", "ftp://h/x"])
def test_no_other_protocol_is_spoken(address: str, volume: Volume) -> None:
    ended = volume.download(MODEL_REPOSITORY=address)
    assert ended.code == LASTING
    assert "must begin with one of https://" in ended.reason
    assert not volume.state.exists()


@pytest.mark.parametrize("address", ["http://git.example.com/o/n", "git://git.example.com/o/n", "http://10.0.0.1/o/n"])
def test_a_token_goes_over_no_network_that_can_read_it(address: str) -> None:
    check_repository(address, token="")
    with pytest.raises(Failed, match="over https:// only"):
        check_repository(address, token=TOKEN)


@pytest.mark.parametrize("address", ["https://git.example.com/o/n", "http://127.0.0.1:8080/n", "http://localhost/n"])
def test_a_token_goes_over_https_or_stays_on_the_machine(address: str) -> None:
    check_repository(address, token=TOKEN)
