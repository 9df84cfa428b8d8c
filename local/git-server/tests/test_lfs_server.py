"""The server, with the real git and git-lfs."""

import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import lfs_repository
import pytest
from lfs_server import LfsServer

CONTENT = bytes(range(256)) * 100


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LfsServer]:
    files = tmp_path / "files"
    files.mkdir()
    (files / "model.safetensors").write_bytes(CONTENT)
    (tmp_path / "root").mkdir()
    lfs_repository.commit(tmp_path / "root" / "model.git", files)
    server = LfsServer(("127.0.0.1", 0), tmp_path / "root")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


def test_what_git_and_git_lfs_push_can_be_cloned(
    server: LfsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    url = f"http://127.0.0.1:{server.server_port}/model.git"
    git(tmp_path, "lfs", "install")
    git(tmp_path, "config", "--global", "user.name", "test")
    git(tmp_path, "config", "--global", "user.email", "test@example.com")
    git(tmp_path, "clone", url, "one")
    assert (tmp_path / "one" / "model.safetensors").read_bytes() == CONTENT
    (tmp_path / "one" / "model-2.safetensors").write_bytes(CONTENT * 2)
    git(tmp_path / "one", "add", ".")
    git(tmp_path / "one", "commit", "-m", "second")
    git(tmp_path / "one", "push")
    git(tmp_path, "clone", url, "two")
    assert (tmp_path / "two" / "model-2.safetensors").read_bytes() == CONTENT * 2


@pytest.mark.parametrize(("range_", "expected"), [("bytes=10-", CONTENT[10:]), ("bytes=10-19", CONTENT[10:20])])
def test_a_range_is_answered_with_just_that(range_: str, expected: bytes, server: LfsServer) -> None:
    oid = next(path for path in (server.root / "model.git/lfs/objects").rglob("*") if path.is_file()).name
    url = f"http://127.0.0.1:{server.server_port}/model.git/info/lfs/objects/{oid}"
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Range": range_})) as answer:
        assert answer.status == 206
        assert answer.read() == expected
