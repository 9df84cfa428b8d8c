"""A store with a model in a bucket of its own, and a volume to download it to."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fetch_pods import make_model
from s3_store import Store, s3_server, store_before
from s3_volume import SIZES, S3Volume


@pytest.fixture(scope="session")
def content() -> dict[str, bytes]:
    return make_model(SIZES)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with s3_server(tmp_path_factory.mktemp("s3")) as port:
        yield port


@pytest.fixture
def store(server: int, request: pytest.FixtureRequest, content: dict[str, bytes]) -> Iterator[Store]:
    with store_before(server, f"b{abs(hash(request.node.nodeid))}") as store:
        store.put(content)
        yield store


@pytest.fixture
def volume(tmp_path: Path, store: Store) -> Iterator[S3Volume]:
    volume = S3Volume(tmp_path / "volume", tmp_path / "scratch", store)
    yield volume
    volume.kill_all()


@pytest.fixture
def small_volume(tmp_path: Path, store: Store) -> Iterator[S3Volume]:
    """A volume of 2 MiB. Needs root, as the whole of the project's cluster does."""
    volume = S3Volume(tmp_path / "small", tmp_path / "small-scratch", store)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", volume.path], check=True)
    yield volume
    volume.kill_all()
    subprocess.run(["umount", volume.path], check=True)
