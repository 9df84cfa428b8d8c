"""A claim that gets no volume, with the real Jobs in real pods."""

import time
from pathlib import Path

import pytest
from faulty_server import FaultyServer
from fetch_pods import Repository, content_of

from components.model_store.claim import MARGIN_SECONDS
from tests.serving.weights.weights_stack import Namespace, make_folder

MOUNT_TIMEOUT_SECONDS = 30


@pytest.mark.faults
def test_a_claim_without_a_volume_ends_the_up_with_the_reason_and_the_next_one_goes_on(
    namespace: Namespace, server: FaultyServer, repository: Repository, tmp_path: Path
) -> None:
    name = namespace.make_class("nobody.example.com/files")
    storage = {"storageClass": name, "mountTimeout": f"{MOUNT_TIMEOUT_SECONDS}s"}
    start = time.monotonic()
    error = namespace.up(server.url(), storage=storage)
    assert time.monotonic() - start < MOUNT_TIMEOUT_SECONDS + MARGIN_SECONDS, "the Job that mounts was waited for"
    for told in (
        f"claim weights-{name}-rwx could not be mounted within 30 s (storage.mountTimeout)",
        f"Pending (class {name}, ReadWriteMany, 1Gi)",
        "nobody.example.com/files",
        "set deepseek:storage.storageClass to a class that gives ReadWriteMany",
    ):
        assert told in error
    assert not server.faults.requests
    folder = make_folder(tmp_path / "volume")
    namespace.make_volume(folder, f"weights-{name}-rwx", name)
    assert namespace.up(server.url(), storage=storage) == ""
    assert content_of(folder / "model" / "main") == repository.content
