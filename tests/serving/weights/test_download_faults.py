"""What happens to the pods and volumes of a download, with the real Job, kubelet, git, git-lfs and server."""

import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faulty_server import FaultyServer
from fetch_pods import Repository, content_of, fill, flip_bit, wait_until

from local.cluster import volumes
from tests.sampling import SEED
from tests.serving.weights.conftest import LARGE
from tests.serving.weights.weights_stack import API, UP_SECONDS, Namespace, error_of, make_folder

BACKOFF_LIMIT = 3
"""Of the download Job: so many of its pods may fail, and the next failure is the Job's."""
BYTES_PER_SECOND = 3e5
"""Of each stream: a pod that is killed at the latest moment has not got all of the largest file."""
LATEST_SECONDS = 4.0
IN_FLIGHT_BYTES = 100_000
"""Of one stream at its rate: a third of a second. The limit is 64 MiB."""
FOLDER = Path("model") / "main"


@pytest.mark.faults
@pytest.mark.sample
def test_killed_at_random_moments_it_goes_on_within_the_same_up(
    namespace: Namespace, server: FaultyServer, repository: Repository
) -> None:
    server.faults.bytes_per_second = BYTES_PER_SECOND
    moments = random.Random(SEED)
    up = namespace.start(server.url())
    for _ in range(2):
        namespace.kill_download(moments.uniform(0, LATEST_SECONDS))
    server.faults.bytes_per_second = float("inf")
    assert error_of(up) == ""
    assert content_of(namespace.volume() / FOLDER) == repository.content
    assert sent_again(server) <= 2 * len(LARGE) * IN_FLIGHT_BYTES


@pytest.mark.faults
@pytest.mark.parametrize("seed", range(5))
def test_killed_more_often_than_the_job_allows_it_goes_on_at_the_next_up(
    seed: int, namespace: Namespace, server: FaultyServer, repository: Repository
) -> None:
    server.faults.bytes_per_second = BYTES_PER_SECOND
    moments = random.Random(seed)
    up = namespace.start(server.url())
    for _ in range(BACKOFF_LIMIT + 1):
        namespace.kill_download(moments.uniform(0, LATEST_SECONDS))
    assert "BackoffLimitExceeded" in error_of(up)
    up = namespace.start(server.url())
    namespace.kill_download(moments.uniform(0, LATEST_SECONDS))
    server.faults.bytes_per_second = float("inf")
    assert error_of(up) == ""
    assert content_of(namespace.volume() / FOLDER) == repository.content
    assert sent_again(server) <= (BACKOFF_LIMIT + 2) * len(LARGE) * IN_FLIGHT_BYTES


@pytest.mark.faults
def test_a_pod_that_has_to_leave_its_node_does_not_count_as_a_failure(
    namespace: Namespace, server: FaultyServer, repository: Repository
) -> None:
    server.faults.bytes_per_second = BYTES_PER_SECOND
    up = namespace.start(server.url())
    wait_until(lambda: server.faults.sent_bytes > 1_000_000, UP_SECONDS)
    namespace.evict_download()
    server.faults.bytes_per_second = float("inf")
    assert error_of(up) == ""
    [job] = [
        job for job in API.request("GET", namespace.jobs)["items"] if job["metadata"]["name"].startswith("download-")
    ]
    assert "failed" not in job["status"]
    assert content_of(namespace.volume() / FOLDER) == repository.content
    assert sent_again(server) <= len(LARGE) * IN_FLIGHT_BYTES


@pytest.mark.faults
@pytest.mark.sample
def test_two_jobs_on_one_volume_download_it_once(
    namespaces: Callable[[], Namespace], server: FaultyServer, repository: Repository, folder: Path
) -> None:
    server.faults.bytes_per_second = BYTES_PER_SECOND / 3  # a minute, in which the other pod comes
    both = namespaces(), namespaces()
    for namespace in both:
        namespace.make_volume(folder, "shared")
        namespace.make_claim("shared")
    ups = [namespace.start(server.url(), storage={"existingClaim": "shared"}) for namespace in both]
    waiting = "which another pod holds"
    wait_until(lambda: any(waiting in namespace.logs("download-") for namespace in both), UP_SECONDS)
    server.faults.bytes_per_second = float("inf")
    assert [error_of(up) for up in ups] == ["", ""]
    assert content_of(folder / FOLDER) == repository.content
    assert sent_again(server) == 0


@pytest.mark.faults
def test_a_volume_that_fills_up_ends_the_up_and_the_next_one_goes_on(
    namespace: Namespace, server: FaultyServer, repository: Repository, small_volume: Path
) -> None:
    server.faults.bytes_per_second = 1e6
    namespace.make_volume(small_volume, "small")
    namespace.make_claim("small")
    up = namespace.start(server.url(), storage={"existingClaim": "small"})
    before = sum(LARGE.values()) // 4
    wait_until(lambda: server.faults.sent_bytes > before, UP_SECONDS)
    filler = small_volume / "filler"
    fill(filler)
    error = error_of(up)
    assert "The volume is full (0 B free of 60.0 MiB): enlarge deepseek:storage.size" in error
    assert "The next run goes on where this one ended" in error
    filler.unlink()
    assert namespace.up(server.url(), storage={"existingClaim": "small"}) == ""
    assert content_of(small_volume / FOLDER) == repository.content
    assert sent_again(server) < before, "git-lfs tries to write a few times, with what has come by then"


@pytest.mark.faults
def test_bits_that_flip_before_and_after_the_marker_are_repaired(
    namespace: Namespace, server: FaultyServer, repository: Repository
) -> None:
    server.faults.bytes_per_second = BYTES_PER_SECOND
    up = namespace.start(server.url())
    size = LARGE["short.safetensors"]

    def downloaded() -> list[Path]:
        objects = namespace.volume() / FOLDER / ".git" / "lfs" / "objects"
        return [path for path in objects.rglob("*") if path.is_file() and path.stat().st_size == size]

    wait_until(lambda: bool(namespace.downloading() and downloaded()), 120)
    namespace.kill_download()
    flip_bit(downloaded()[0])
    server.faults.bytes_per_second = float("inf")
    assert error_of(up) == ""
    assert "short.safetensors is damaged on the volume" in namespace.logs("download-")
    folder = namespace.volume() / FOLDER
    assert content_of(folder) == repository.content
    flip_bit(folder / "model-1.safetensors")
    flip_bit(folder / "config.json", 3)
    assert namespace.up(server.url(), storage={"verify": "full"}) == ""
    assert content_of(folder) == repository.content


def sent_again(server: FaultyServer) -> int:
    """Return how many bytes more than all of the objects' the server has sent."""
    return server.faults.sent_bytes - sum(LARGE.values())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "volume")


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Path]:
    """A volume of 60 MiB."""
    path = tmp_path / "small"
    path.mkdir()
    options = f"size=60m,mode=2775,uid={volumes.OWNER},gid={volumes.OWNER}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], check=True)
    yield path
    subprocess.run(["umount", "--lazy", path], check=True)
