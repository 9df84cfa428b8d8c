"""What does not pass by itself ends a download within minutes, and names the proxy, the CA or the address.

Real git and git-lfs talk to servers that answer so. A pod's patience is an hour here, so that only what was recognised
as lasting ends; its few minutes are made seconds.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from download_program import LASTING, MAY_PASS
from faulty_server import FaultyHandler, FaultyServer, Refusal
from fetch_pods import TOKEN, Ended, Repository, Volume
from wrong_servers import answering, objects_elsewhere, self_signed


@pytest.fixture
def download(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Download with the patience of an hour, and half a second for what lasts."""
    monkeypatch.setattr("fetch_pods.SETTINGS", {"patience.LASTING_SECONDS": 0.5})

    def run(repository: str, **other: str) -> Ended:
        return volume.download(**{"MODEL_REPOSITORY": repository, "PATIENCE_SECONDS": "3600", **other})

    return run


def proxied(url: str) -> dict[str, str]:
    return {"http_proxy": url, "https_proxy": url, "no_proxy": ""}


def test_a_name_that_does_not_resolve_is_told(download: Callable[..., Ended]) -> None:
    ended = download("https://models.invalid/model.git")
    assert ended.code == LASTING, ended.log
    assert ended.reason.startswith("The host name models.invalid does not resolve inside the cluster")
    assert "deepseek:model.repository" in ended.reason


def test_a_certificate_that_is_not_trusted_is_told(download: Callable[..., Ended], tmp_path: Path) -> None:
    with answering(certificate=self_signed(tmp_path)) as server:
        ended = download(f"https://localhost:{server.server_port}/model.git")
    assert ended.code == LASTING, ended.log
    assert ended.reason.startswith(f"The certificate of https://localhost:{server.server_port} is not trusted")
    assert "CA" in ended.reason


def test_a_certificate_of_another_host_is_told(download: Callable[..., Ended], tmp_path: Path) -> None:
    certificate = self_signed(tmp_path, "elsewhere.example.com")
    with answering(certificate=certificate) as server:
        ended = download(f"https://localhost:{server.server_port}/model.git", GIT_SSL_CAINFO=str(tmp_path / "only.pem"))
    assert ended.code == LASTING, ended.log
    assert "correct the host in deepseek:model.repository" in ended.reason


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_wants_credentials_is_told_without_those_it_was_given(
    download: Callable[..., Ended], scheme: str
) -> None:
    with answering(407) as proxy:
        address = proxy.url.replace("//", "//me:wrong-password@")
        ended = download(f"{scheme}://models.example.com/model.git", **proxied(address))
    assert ended.code == LASTING, ended.log
    assert ended.reason.startswith(f"{proxy.url} wants credentials (HTTP 407)")
    assert "wrong-password" not in ended.log + ended.reason


def test_a_proxy_that_forbids_the_host_is_told(download: Callable[..., Ended]) -> None:
    with answering(403) as proxy:
        ended = download("https://models.example.com/model.git", **proxied(proxy.url))
    assert ended.code == LASTING, ended.log
    assert f"{proxy.url} does not let this cluster reach https://models.example.com" in ended.reason
    assert "token" not in ended.reason


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "http://proxy.invalid:3128"])
def test_a_proxy_that_is_not_there_is_told(download: Callable[..., Ended], proxy: str) -> None:
    ended = download("https://models.example.com/model.git", **proxied(proxy))
    assert ended.code == LASTING, ended.log
    assert f"{proxy}, through which https://models.example.com is asked, cannot be reached" in ended.reason


@pytest.mark.parametrize("page", [b"<html><body>log in</body></html>", b"<html>\n<body>log in</body>\n</html>\n", b""])
@pytest.mark.parametrize("revision", ["main", "e815299b0bcbac849fa540c768ef21845365c9eb"])
def test_a_web_page_with_status_200_is_no_empty_repository(
    download: Callable[..., Ended], page: bytes, revision: str
) -> None:
    with answering(200, page) as server:
        ended = download(f"{server.url}/model.git", MODEL_REVISION=revision)
    assert ended.code == LASTING, ended.log
    assert "answered with something other than Git's data" in ended.reason
    assert server.url in ended.reason
    assert "model.revision" not in ended.reason


def test_an_empty_repository_is_still_called_empty(
    download: Callable[..., Ended], server: FaultyServer, repository: Repository, tmp_path: Path
) -> None:
    shutil.copytree(repository.root / "model.git", tmp_path / "empty.git")
    shutil.rmtree(tmp_path / "empty.git" / "refs")
    (tmp_path / "empty.git" / "refs").mkdir()
    server.root = tmp_path
    ended = download(server.url("empty.git"))
    assert ended.code == LASTING, ended.log
    assert "has no branch, tag or full commit 'main' (it is empty)" in ended.reason


def test_an_address_of_ssh_is_told_at_once(download: Callable[..., Ended], volume: Volume) -> None:
    ended = download("ssh://git@127.0.0.1:9/model.git")
    assert ended.code == LASTING, ended.log
    assert "is an SSH address, and the download has no SSH key" in ended.reason
    assert str(volume.path) not in ended.reason, "the volume is not to blame"
    assert "next attempt" not in ended.log


def test_a_server_that_does_not_listen_is_told(download: Callable[..., Ended]) -> None:
    ended = download("http://127.0.0.1:9/model.git")
    assert ended.code == LASTING, ended.log
    assert "http://127.0.0.1:9 cannot be reached from inside the cluster" in ended.reason


def test_plain_http_behind_https_is_told(download: Callable[..., Ended]) -> None:
    with answering() as server:
        ended = download(f"https://localhost:{server.server_port}/model.git")
    assert ended.code == LASTING, ended.log
    assert f"https://localhost:{server.server_port} does not speak TLS" in ended.reason


def test_large_files_on_a_host_that_does_not_resolve_name_that_host(
    download: Callable[..., Ended], repository: Repository
) -> None:
    with objects_elsewhere(repository.root, "https://objects.invalid") as server:
        ended = download(server.url())
    assert ended.code == LASTING, ended.log
    assert "The host name objects.invalid does not resolve" in ended.reason
    assert "secret-of-a-url" not in ended.log + ended.reason


def test_large_files_that_are_a_web_page_are_told(download: Callable[..., Ended], repository: Repository) -> None:
    with answering() as page, objects_elsewhere(repository.root, page.url) as server:
        ended = download(server.url())
    assert ended.code == LASTING, ended.log
    assert "answered with something other than Git's data" in ended.reason


def test_a_limited_rate_keeps_its_status_and_suggests_a_token(download: Callable[..., Ended]) -> None:
    with answering(429) as server:
        ended = download(f"{server.url}/model.git", PATIENCE_SECONDS="2")
    assert ended.code == MAY_PASS, ended.log
    assert f"{server.url} limits the rate of requests (HTTP 429)" in ended.reason
    assert "Set deepseek:modelToken" in ended.reason


def test_a_limited_rate_of_large_files_keeps_its_status_too(server: FaultyServer, volume: Volume) -> None:
    server.faults.answers.extend([Refusal(429)] * 1000)
    ended = volume.download(PATIENCE_SECONDS="2")
    assert ended.code == MAY_PASS, ended.log
    assert "HTTP 429" in ended.reason
    assert "Set deepseek:modelToken" in ended.reason


def test_the_status_is_told_and_not_the_lines_after_it(server: FaultyServer, volume: Volume) -> None:
    server.faults.answers.extend([Refusal(503)] * 1000)
    ended = volume.download(PATIENCE_SECONDS="2")
    assert ended.code == MAY_PASS
    assert "HTTP 503" in ended.reason
    for noise in ("failed to fetch some objects", "git lfs logs", "MISSING"):
        assert noise not in ended.reason


CHALLENGE = {"WWW-Authenticate": "Basic realm=models"}


def refuse_batches(server: FaultyServer, refusal: Refusal) -> None:
    """Answer every question for the addresses of objects so. A redirect leads back to the same address."""

    class RefusingHandler(FaultyHandler):
        def do_POST(self) -> None:  # noqa: N802 - the base class finds it by this name
            if not self.path.endswith("/objects/batch"):
                super().do_POST()
                return
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            location = {"Location": self.path} if refusal.status // 100 == 3 else {}
            self.send_head(refusal.status, 0, {**location, **refusal.headers})

    server.RequestHandlerClass = RefusingHandler


@pytest.mark.parametrize("where", ["batch", "object"])
def test_a_token_that_large_files_refuse_again_and_again_is_told(
    download: Callable[..., Ended], server: FaultyServer, where: str
) -> None:
    """git-lfs would ask without end."""
    refusal = Refusal(401, CHALLENGE)
    if where == "batch":
        refuse_batches(server, refusal)
    else:
        server.faults.answers.extend([refusal] * 100_000)
    ended = download(server.url(), MODEL_TOKEN=TOKEN)
    assert ended.code == LASTING, ended.log
    assert "refused the token of deepseek:modelToken" in ended.reason
    assert f"{server.url()}/info/lfs/objects" in ended.reason
    assert TOKEN not in ended.log + ended.reason


def test_large_files_that_want_a_token_are_told(download: Callable[..., Ended], server: FaultyServer) -> None:
    server.faults.answers.extend([Refusal(401, CHALLENGE)] * 100_000)
    ended = download(server.url())
    assert ended.code == LASTING, ended.log
    assert "asks for a token, and none is configured" in ended.reason


@pytest.mark.parametrize("status", [302, 307])
def test_an_address_that_leads_back_to_itself_is_told(
    download: Callable[..., Ended], server: FaultyServer, status: int
) -> None:
    refuse_batches(server, Refusal(status))
    ended = download(server.url())
    assert ended.code == LASTING, ended.log
    assert "answered with something other than Git's data" in ended.reason
    assert "redirects" in ended.reason


@pytest.mark.parametrize("status", [408, 425, 502, 507])
@pytest.mark.parametrize("where", ["batch", "object"])
def test_a_status_that_passes_has_the_patience_of_an_outage(
    server: FaultyServer, volume: Volume, status: int, where: str
) -> None:
    if where == "batch":
        refuse_batches(server, Refusal(status))
    else:
        server.faults.answers.extend([Refusal(status)] * 1000)
    ended = volume.download(PATIENCE_SECONDS="2")
    assert ended.code == MAY_PASS, ended.log


@pytest.mark.parametrize("where", ["batch", "object"])
def test_what_a_server_does_not_implement_lasts(
    download: Callable[..., Ended], server: FaultyServer, where: str
) -> None:
    if where == "batch":
        refuse_batches(server, Refusal(501))
    else:
        server.faults.answers.extend([Refusal(501)] * 1000)
    ended = download(server.url())
    assert ended.code == LASTING, ended.log
    assert "Not Implemented" in ended.reason
