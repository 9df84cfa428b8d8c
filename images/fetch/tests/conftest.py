"""A server, a repository on it, and a volume to download it to."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from faulty_server import FaultyServer, serving
from fetch_pods import LARGE, Repository, Volume, make_repository


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return make_repository(tmp_path_factory.mktemp("server"), LARGE)


@pytest.fixture
def serve() -> Iterator[Callable[[Path], FaultyServer]]:
    """Start servers of the repositories below a folder."""
    with ExitStack() as servers:
        yield lambda root: servers.enter_context(serving(root))


@pytest.fixture
def server(repository: Repository, serve: Callable[[Path], FaultyServer]) -> FaultyServer:
    return serve(repository.root)


@pytest.fixture
def volume(tmp_path: Path, server: FaultyServer) -> Iterator[Volume]:
    volume = Volume(tmp_path / "volume", tmp_path / "scratch", server)
    yield volume
    volume.kill_all()


@pytest.fixture
def small_volume(tmp_path: Path, server: FaultyServer) -> Iterator[Volume]:
    """A volume of 8 MiB. Needs root, as the whole of the project's cluster does."""
    volume = Volume(tmp_path / "small", tmp_path / "small-scratch", server)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", volume.path], check=True)
    yield volume
    volume.kill_all()
    subprocess.run(["umount", volume.path], check=True)
