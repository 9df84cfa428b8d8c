"""The real engine, API server, scheduler and KubeRay operator; four nodes with eight A100s each, simulated.

On simulated nodes the pods of Jobs complete at once, and the supervisor's pod stays. Real pods are in tests/serving.
"""

import gc
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pulumi import automation

from local import stack
from local.cluster.api_server import ApiServer
from local.cluster.simulated import RunningCluster, simulated_cluster
from tests.cluster.world import image_pulls
from tests.cluster.world.stack_objects import NAMESPACE


def pytest_configure(config: pytest.Config) -> None:
    """Leave it to Pulumi that its Automation API drops sockets, event loop and coroutine of an `up` that failed."""
    config.addinivalue_line("filterwarnings", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def collected(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Collect what the Automation API has dropped. Found later, its warnings would blame another test, or pytest's end.

    pytest keeps a test's log until the next one begins, and in it the tracebacks of an `up` that failed.
    """
    yield
    caplog.get_records("call").clear()
    gc.collect()


@pytest.fixture(scope="module", autouse=True)
def state_is_saved_once() -> Iterator[None]:
    """Let the engine write a stack's state at the end of an update, not twice for each resource.

    Of the article's stack an `up` then takes 9 s in place of 17, and a `destroy` 6 in place of 20 (on two busy cores).

    A module whose tests are about what an update leaves on its way overrides this fixture.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PULUMI_SKIP_CHECKPOINTS", "true")
        yield


@pytest.fixture(scope="module")
def quick_provider() -> Iterator[None]:
    """Let the provider send its requests as they come, not 50 a second: more of them are in flight at each moment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PULUMI_K8S_CLIENT_QPS", "100")
        patch.setenv("PULUMI_K8S_CLIENT_BURST", "200")
        yield


@pytest.fixture(scope="session")
def cluster() -> Iterator[RunningCluster]:
    with simulated_cluster(more_stages=image_pulls.STAGES) as running:
        running.api_server.apply(
            f"/api/v1/namespaces/{NAMESPACE}",
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        )
        yield running


@pytest.fixture(scope="session")
def api(cluster: RunningCluster) -> ApiServer:
    return cluster.api_server


@pytest.fixture(scope="session")
def article() -> dict[str, Any]:
    """The configuration of the article's stack, as committed."""
    return stack.configuration("a100-bf16")


Configure = Callable[..., automation.Stack]


@pytest.fixture(scope="session")
def configured(cluster: RunningCluster, article: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Configure:
    """Return the article's stack with some keys changed: `configured(hardware={"nodes": 2})`."""

    folder = tmp_path_factory.mktemp("pulumi")

    def configure(**changes: dict[str, Any]) -> automation.Stack:
        storage = article["deepseek:storage"] | {"storageClass": "local"} | changes.pop("storage", {})
        overrides = {f"deepseek:{key}": article.get(f"deepseek:{key}", {}) | value for key, value in changes.items()}
        return stack.select("a100-bf16", cluster.kubeconfig, overrides | {"deepseek:storage": storage}, folder)

    return configure


class Nodes:
    """The simulated nodes; while they are closed, pods wait, and a Job takes as long as a test wants."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api

    def close(self) -> None:
        self._set(unschedulable=True)

    def open(self) -> None:
        self._set(unschedulable=False)

    def _set(self, *, unschedulable: bool) -> None:
        body = json.dumps({"spec": {"unschedulable": unschedulable}})
        for node in self._api.request("GET", "/api/v1/nodes")["items"]:
            path = f"/api/v1/nodes/{node['metadata']['name']}"
            self._api.request("PATCH", path, body, "application/merge-patch+json")


@pytest.fixture
def nodes(api: ApiServer) -> Iterator[Nodes]:
    nodes = Nodes(api)
    yield nodes
    nodes.open()
