"""A registry with a model in it, and a volume to download it to."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fetch_pods import make_model
from oci_registry import Registry, registry_server, serving
from oci_volume import SIZES, OciVolume


@pytest.fixture(scope="session")
def content() -> dict[str, bytes]:
    return make_model(SIZES)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with registry_server(tmp_path_factory.mktemp("registry")) as port:
        yield port


@pytest.fixture
def registry(server: int, content: dict[str, bytes]) -> Iterator[Registry]:
    registry = Registry(server)
    registry.push(content)
    with serving(registry):
        yield registry


@pytest.fixture
def volume(tmp_path: Path, registry: Registry) -> Iterator[OciVolume]:
    volume = OciVolume(tmp_path / "volume", tmp_path / "scratch", registry)
    yield volume
    volume.kill_all()
