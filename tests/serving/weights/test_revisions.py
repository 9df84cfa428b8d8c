"""The old revision goes from the volume, and nothing else does."""

import shutil
from pathlib import Path

import lfs_repository
from faulty_server import FaultyServer
from fetch_pods import Repository, content_of

from tests.serving.weights.weights_stack import Namespace

REVIEWED = {"config.json": b"{}\n", "model.safetensors": bytes(100_000)}


def test_the_other_revision_is_removed_when_the_stack_says_so(
    namespace: Namespace, server: FaultyServer, repository: Repository, tmp_path: Path
) -> None:
    add_revision(repository, server, tmp_path)
    assert namespace.up(server.url()) == ""
    model = namespace.volume() / "model"
    (model / "notes").mkdir()
    assert namespace.up(server.url(), model={"revision": "reviewed"}) == ""
    assert content_of(model / "main") == repository.content, "it is kept unless the stack says otherwise"
    storage = {"otherRevisions": "remove"}
    assert namespace.up(server.url(), model={"revision": "reviewed"}, storage=storage) == ""
    assert sorted(path.name for path in model.iterdir()) == ["notes", "reviewed"]
    assert content_of(model / "reviewed") == REVIEWED
    assert (namespace.volume() / "cache").is_dir()


def add_revision(repository: Repository, server: FaultyServer, scratch: Path) -> None:
    """Let the server have a branch `reviewed` beside `main`, in a copy of the repository."""
    repository.copy(scratch)
    files = scratch / "files"
    files.mkdir()
    for name, content in REVIEWED.items():
        (files / name).write_bytes(content)
    lfs_repository.commit(scratch / "model.git", files, branch="reviewed")
    shutil.rmtree(files)
    server.root = scratch
