"""The parts that need neither server nor process."""

import errno
import time
from pathlib import Path
from typing import Any

import download_program
import failure
import fetch
import filesystem
import in_cluster
import object_store
import patience
import progress
import pytest
from download_settings import DownloadSettings, from_environment
from failure import Failed, Interrupted, MayPass, binary
from fetch_pods import LARGE, Repository, Volume
from inventory import ModelFile
from meanings import explain
from patience import Patience
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


def job(**changes: str) -> DownloadSettings:
    return from_environment(environment(JOB_NAME="fetch-1", JOB_UID="uid-1", POD_NAMESPACE="models", **changes))


def test_without_hard_links_objects_move_and_are_on_the_disk_once(
    repository: Repository, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(object_store.os, "link", refuse)
    download = from_environment(volume.environment())
    download_program.run(download, fetch.attempt)
    assert volume.content() == repository.content
    objects = [path for path in (volume.directory / ".git/lfs").rglob("*") if path.is_file()]
    assert not objects, "the objects are on the disk twice"
    sent = volume.server.faults.sent_bytes
    download_program.run(from_environment(volume.environment(VERIFY="full")), fetch.attempt)
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
        ("fatal: remote error: access denied or repository not exported: /model.git", Failed),
        ("fatal: remote error: upload-pack: not our ref 0123456789abcdef", Interrupted),
        ("error: invalid path 'git~1'", Failed),
        ("error: unable to create file x: File name too long", Failed),
        ("write /volume/x: no space left on device", Failed),
        ("open /volume/x: permission denied", Failed),
        ("fatal: unable to access 'https://…': The requested URL returned error: 503", Interrupted),
        ("fatal: unable to access 'https://…': Could not resolve host: example.com", Interrupted),
        ("panic: runtime error: index out of range", Interrupted),
    ],
)
def test_only_what_may_pass_is_tried_again(words: str, kind: type[Exception], tmp_path: Path) -> None:
    assert type(explain(words, "https://example.com/model.git", tmp_path, token=False)) is kind


LASTING = {
    "proxy wants credentials": 'LFS: Get "https://cdn.example.com/x": Proxy Authentication Required',
    "old curl": "fatal: unable to access 'https://e/m/': Received HTTP code 407 from proxy after CONNECT",
    "expired": "fatal: unable to access 'https://e/m/': SSL certificate problem: certificate has expired",
    "self-signed": "fatal: unable to access 'https://e/m/': SSL certificate problem: self-signed certificate",
    "authority": "fatal: unable to access 'https://e/m/': SSL certificate problem: unable to get local issuer",
    "verification of OpenSSL": "fatal: unable to access 'https://e/m/': SSL routines::certificate verify failed",
    "verification of GnuTLS": "fatal: unable to access 'https://e/m/': gnutls_handshake() failed: Error in the "
    "certificate verification.",
    "no CA file": "fatal: unable to access 'https://e/m/': error setting certificate file: /ca/ca.crt",
    "go": 'batch response: Post "https://e/m": x509: certificate signed by unknown authority',
    "name": 'LFS: Get "https://cdn.e/x": dial tcp: lookup cdn.e on 10.0.0.10:53: no such host',
    "name server": 'LFS: Get "https://cdn.e/x": dial tcp: lookup cdn.e on 10.0.0.10:53: read udp: i/o timeout',
    "firewall": "fatal: unable to access 'https://e/m/': Failed to connect to e port 443 after 130000 ms: timed out",
    "route": 'LFS: Get "https://cdn.e/x": dial tcp 192.0.2.1:443: connect: no route to host',
    "page": 'batch response: Expected JSON type, got: "text/html; charset=utf-8"',
    "login": "fatal: unable to update url base from redirection:\n  asked for: https://e/m/info/refs",
    "captive portal": "fatal: unable to access 'https://e/m/': The requested URL returned error: 511",
    "circle": "fatal: unable to access 'https://e/m/': Maximum (20) redirects followed",
    "circle of objects": 'LFS: Get "https://cdn.e/x": stopped after 10 redirects',
    "address of the proxy": "fatal: unable to access 'https://e/m/': Unsupported proxy syntax in 'proxy:x'",
    "law": "fatal: unable to access 'https://e/m/': The requested URL returned error: 451",
    "gone": "LFS: Client error &{%!!(string=https) %!!(string=) %!!(*url.Userinfo=<nil>) %!!(string=e) %!!(string=/x) "
    "%!!(string=)}s(MISSING) from HTTP 410",
}


@pytest.mark.parametrize("words", LASTING.values(), ids=LASTING)
def test_what_hardly_passes_is_tried_for_minutes_only(words: str, tmp_path: Path) -> None:
    meant = explain(words, "https://example.com/model.git", tmp_path, token=False)
    assert isinstance(meant, Interrupted)
    assert meant.lasting


@pytest.mark.parametrize(
    "words",
    [
        "fatal: unable to access 'https://e/m/': The requested URL returned error: 502",
        "fatal: unable to access 'https://e/m/': The requested URL returned error: 429",
        "fatal: unable to access 'https://e/m/': The requested URL returned error: 408",
        "fatal: unable to access 'https://e/m/': GnuTLS recv error (-110): The TLS connection was terminated",
        "error: RPC failed; curl 92 HTTP/2 stream 0 was not closed cleanly: CANCEL (err 8)",
        'LFS: Get "https://cdn.e/x": EOF',
        'LFS: Get "https://cdn.e/x": net/http: TLS handshake timeout',
        'LFS: Get "https://cdn.e/x": Bad Gateway',
        "LFS: unexpected EOF",
        "open /volume/x: stale NFS file handle",
    ],
)
def test_what_may_pass_is_tried_as_long_as_an_outage(words: str, tmp_path: Path) -> None:
    meant = explain(words, "https://example.com/model.git", tmp_path, token=False)
    assert isinstance(meant, Interrupted)
    assert not meant.lasting


@pytest.mark.parametrize(
    "words",
    [
        "error: chmod on /volume/m/.git/config.lock failed: Operation not permitted",
        "error: unable to create file x: Function not implemented",
        "rename /volume/a /volume/b: operation not permitted",
    ],
)
def test_what_the_file_system_does_not_do_is_no_matter_of_write_rights(words: str, tmp_path: Path) -> None:
    meant = explain(f"{words}\nfatal: could not do it", "https://example.com/model.git", tmp_path, token=False)
    assert isinstance(meant, Failed)
    assert "does not do what git and the download need" in str(meant)
    assert words in str(meant)


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP])
def test_an_operation_that_the_volume_does_not_know_ends_the_job(number: int, tmp_path: Path) -> None:
    failed = failure.of_the_volume(OSError(number, "refused"), tmp_path)
    assert not isinstance(failed, MayPass)
    assert "does not do what git and the download need" in str(failed)


def test_once_bytes_have_come_an_unknown_name_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "LASTING_SECONDS", 0.0)
    monkeypatch.setattr(patience, "FIRST_PAUSE_SECONDS", 0.01)
    unresolved = Interrupted("no such host", lasting=True)
    waits = Patience(job(), received=10)
    with pytest.raises(Failed, match="no such host It was so 1 times"):
        waits.wait(unresolved, 10)
    waits.wait(unresolved, 11)
    waits.wait(unresolved, 11)


@pytest.mark.parametrize(
    ("kind", "options", "advice"),
    [
        ("cifs", "rw,vers=3.1.1,uid=0,gid=0", "mountOptions: uid="),
        ("nfs4", "rw,vers=4.1", "root_squash"),
        ("fuse.s3fs", "rw,user_id=0", "object store"),
        ("ext4", "rw", "owner and mode"),
    ],
)
def test_a_volume_is_described_as_it_is_mounted(
    kind: str, options: str, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 0:1 / / rw,relatime shared:1 - overlay overlay rw\n"
        f"23 22 0:2 / /with\\040space rw - tmpfs tmpfs rw\n"
        f"24 22 0:3 / /volume rw,relatime - {kind} //server/x {options}\n"
    )
    monkeypatch.setattr(filesystem, "MOUNTS", mounts)
    mount = filesystem.mounted_at(Path("/volume/model"))
    assert str(mount) == f"{kind}, mounted with {options}"
    assert advice in mount.advice
    assert filesystem.mounted_at(Path("/with space")).kind == "tmpfs"
    assert filesystem.mounted_at(Path("/volumes")).kind == "overlay"


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
