"""The program's own Jobs in real pods. They want the embedded cluster, and not the dev stack on it."""

import gc
from collections.abc import Callable, Iterator

import pytest
from faulty_server import FaultyServer, serving
from fetch_pods import Repository, make_repository

from local import boot, dev, stack
from local.cluster import cluster
from local.machine import addresses
from tests.serving.weights.weights_stack import Namespace, image_program

LARGE = {f"model-{number}.safetensors": 6_000_000 for number in range(7)} | {"short.safetensors": 200_000}


@pytest.fixture(scope="session")
def fetch_image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The reference of the fetch image, built by the program; the cluster comes up for it and goes as it came."""
    was_up = cluster.is_up()
    boot.boot(dev.NAMESPACE, again=dev.AGAIN)
    builder = Namespace(tmp_path_factory.mktemp("fetch-image"))
    yield builder.stack(image_program).up(on_output=stack.show).outputs["image"].value
    builder.remove()
    if not was_up:
        dev.down()


@pytest.fixture
def namespaces(fetch_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Namespace]]:
    """Make namespaces for stacks of the weights alone."""
    made: list[Namespace] = []

    def make() -> Namespace:
        made.append(Namespace(tmp_path_factory.mktemp("stack"), fetch_image))
        return made[-1]

    yield make
    for namespace in made:
        namespace.remove()
    gc.collect()  # what Pulumi dropped is found here, where it is ignored


@pytest.fixture
def namespace(namespaces: Callable[[], Namespace]) -> Namespace:
    return namespaces()


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return make_repository(tmp_path_factory.mktemp("server"), LARGE)


@pytest.fixture
def server(repository: Repository) -> Iterator[FaultyServer]:
    """A server on this machine that pods reach."""
    with serving(repository.root, addresses.NODE) as server:
        yield server
