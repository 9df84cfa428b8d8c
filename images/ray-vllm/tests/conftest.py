"""Stand-ins for what the programs talk to, and programs that do not wait long."""

from collections.abc import Iterator
from pathlib import Path

import engine_watch
import following
import joining
import log_follower
import pytest
import supervisor
import vllm_job
from stub_servers import StubModel, StubRay, StubServer


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
    for module in (following, supervisor):
        monkeypatch.setattr(module, "SERVING_FILE", tmp_path / "serving")
