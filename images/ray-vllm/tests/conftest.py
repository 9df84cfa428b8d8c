"""Stand-ins for what the programs talk to, and programs that do not wait long."""

import json
from collections.abc import Iterator
from pathlib import Path

import engine_watch
import following
import joining
import log_follower
import pytest
import supervisor
import vllm_job
from attempts import Serve
from failure_history import Failed
from stub_servers import StubModel, StubRay, StubServer
from supervisor import Settings, Supervisor


@pytest.fixture
def server() -> Iterator[StubServer]:
    stub = StubServer()
    yield stub
    stub.close()


@pytest.fixture
def model() -> Iterator[StubModel]:
    stub = StubModel()
    yield stub
    stub.close()


@pytest.fixture
def ray() -> Iterator[StubRay]:
    stub = StubRay()
    yield stub
    stub.close()


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Polling in hundredths of seconds, and the serving file out of the way."""
    for module, name in (
        (joining, "POLL_SECONDS"),
        (vllm_job, "POLL_SECONDS"),
        (following, "POLL_SECONDS"),
        (following, "LINGER_SECONDS"),
        (log_follower, "RETRY_SECONDS"),
        (engine_watch, "LOADING_INTERVAL_SECONDS"),
    ):
        monkeypatch.setattr(module, name, 0.02)
    monkeypatch.setattr(following, "LINGER_SECONDS", 0.1)
    monkeypatch.setattr(following, "ENGINE_SECONDS", 1.0)
    for module in (following, supervisor):
        monkeypatch.setattr(module, "SERVING_FILE", tmp_path / "serving")


@pytest.fixture
def environment(ray: StubRay, model: StubModel) -> dict[str, str]:
    return {
        "RAY_JOBS_ADDRESS": ray.url,
        "RAY_AUTH_TOKEN": "token",
        "RAY_NODES": "1",
        "GPUS_PER_NODE": "1",
        "JOIN_TIMEOUT_SECONDS": "5",
        "LOAD_TIMEOUT_SECONDS": "5",
        "HANG_TIMEOUT_SECONDS": "5",
        "VLLM_ARGUMENTS": json.dumps(["serve", "/m x", "--flag=a b"]),
        "SUBMISSION_ID": "abc",
        "ENDPOINT": model.url + "/",
        "SERVED_MODEL": "/m x",
        "METRICS_PORT": "0",
    }


@pytest.fixture
def serve(environment: dict[str, str]) -> Serve:
    """Make one attempt, with some variables set otherwise, and return how it failed."""

    def attempt(**other: str) -> Failed:
        with pytest.raises(Failed) as caught:
            Supervisor(Settings.read(environment | other)).serve()
        return caught.value

    return attempt
