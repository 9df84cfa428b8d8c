"""The parts that need neither server nor process."""

import time
from pathlib import Path
from typing import Any

import fetch
import in_cluster
import object_store
import progress
import pytest
from download import Download, from_environment
from failure import Failed, Interrupted, binary, explain
from fetch_pods import LARGE, Repository, Volume
from inventory import ModelFile
from progress import reported
from verification import small_file_is_whole


def environment(**changes: str) -> dict[str, str]:
    return {
        "MODEL_REPOSITORY": "https://example.com/model.git",
        "MODEL_REVISION": "main",
        "MODEL_DIRECTORY": "/volume/model/main",
        "VOLUME": "/volume",
        **changes,
    }


def job(**changes: str) -> Download:
    return from_environment(environment(JOB_NAME="fetch-1", JOB_UID="uid-1", POD_NAMESPACE="models", **changes))


def test_without_hard_links_objects_move_and_are_on_the_disk_once(
    repository: Repository, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(object_store.os, "link", refuse)
    download = from_environment(volume.environment())
    fetch.run(download)
    assert volume.content() == repository.content
    objects = [path for path in (volume.directory / ".git/lfs").rglob("*") if path.is_file()]
    assert not objects, "the objects are on the disk twice"
    sent = volume.server.faults.sent_bytes
    fetch.run(from_environment(volume.environment(VERIFY="full")))
    assert volume.server.faults.sent_bytes == sent == sum(LARGE.values())


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(Failed, match="'VOLUME' is not set"):
        from_environment({name: value for name, value in environment().items() if name != "VOLUME"})


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("fatal: Authentication failed for 'https://example.com/model.git/'", Failed),
        ("fatal: unable to access 'https://…': The requested URL returned error: 403", Failed),
        ("batch response: Authentication required: Authorization error: https://e/info/lfs/objects/batch", Failed),
        ("LFS: Authorization error: https://cdn.example.com/signed-and-expired?X=1", Interrupted),
        ("write /volume/x: no space left on device", Failed),
        ("open /volume/x: permission denied", Failed),
        ("fatal: unable to access 'https://…': The requested URL returned error: 503", Interrupted),
        ("fatal: unable to access 'https://…': Could not resolve host: example.com", Interrupted),
        ("panic: runtime error: index out of range", Interrupted),
    ],
)
def test_only_what_may_pass_is_tried_again(words: str, kind: type[Exception], tmp_path: Path) -> None:
    assert type(explain(words, "https://example.com/model.git", tmp_path, token=False)) is kind


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1288490188, "1.2 GiB"), (1 << 40, "1.00 TiB")]
)
def test_bytes_read_well(count: int, text: str) -> None:
    assert binary(count) == text


def test_progress_says_bytes_rate_and_what_is_left() -> None:
    line = progress.describe(received=400 << 30, total=1000 << 30, verified=0, rate=1 << 30)
    assert line == "Downloaded 400.0 GiB of 1000.0 GiB (40 %), 1.0 GiB/s, 10 min left"
    assert "nothing in the last minute" in progress.describe(received=1, total=2, verified=0, rate=0)
    assert progress.describe(received=2, total=2, verified=1, rate=0) == "Downloaded 2 B, verified 1 B"


class ApiServer:
    """Stands in for the API server: one Event, or a refusal."""

    def __init__(self, status: int = 404) -> None:
        self.status = status
        self.requests: list[tuple[str, str]] = []
        self.event: dict[str, Any] = {}

    def request(self, method: str, path: str, body: dict[str, Any], **_: str) -> dict[str, Any]:
        self.requests.append((method, path))
        if method == "PATCH" and not self.event:
            raise in_cluster.ApiError(self.status, "refused")
        self.event |= body
        return self.event


def test_progress_is_one_event_of_the_job_that_is_updated(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ApiServer()
    monkeypatch.setattr(in_cluster, "request", server.request)
    progress.tell(job(), "first")
    progress.tell(job(), "second")
    events = "/api/v1/namespaces/models/events"
    assert server.requests == [
        ("PATCH", f"{events}/fetch-1-progress-0"),
        ("POST", events),
        ("PATCH", f"{events}/fetch-1-progress-0"),
    ]
    assert server.event["type"] == "Warning", "pulumi shows no other type"
    assert server.event["involvedObject"]["uid"] == "uid-1", "pulumi finds a Job's events by its uid"
    assert server.event["message"] == "second"


def test_a_download_does_not_fail_for_want_of_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_cluster, "request", ApiServer(status=403).request)
    progress.tell(job(), "first")


def test_only_the_finishing_pod_shows_how_far_all_are(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ApiServer()
    monkeypatch.setattr(in_cluster, "request", server.request)
    monkeypatch.setattr(progress, "INTERVAL_SECONDS", 0.05)
    for index, shown in (("1", False), ("0", True)):
        with reported(job(JOB_COMPLETION_INDEX=index), 2, lambda: 1, lambda: 0):
            time.sleep(0.2)
        assert bool(server.requests) == shown


def test_a_small_file_is_compared_with_its_blob(tmp_path: Path) -> None:
    file = ModelFile("empty", 0, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", "")
    assert not small_file_is_whole(file, tmp_path / "empty")
    (tmp_path / "empty").touch()
    assert small_file_is_whole(file, tmp_path / "empty")
    (tmp_path / "empty").write_text("no longer")
    assert not small_file_is_whole(file, tmp_path / "empty")
