"""What will not pass by itself ends soon, and says which key or object has to be changed."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from company import HOST, Proxy, signed
from download_program import LASTING
from fetch_pods import Ended
from s3_store import Store
from s3_volume import S3Volume
from wrong_servers import answering, self_signed, speak_tls


@pytest.fixture
def download(volume: S3Volume, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Download with the patience of an hour, and half a second for what lasts."""
    monkeypatch.setattr("fetch_pods.SETTINGS", {"patience.LASTING_SECONDS": 0.5})

    def run(**changes: str) -> Ended:
        ended = volume.download(**{"PATIENCE_SECONDS": "3600", **changes})
        assert ended.code == LASTING, ended.log
        assert "secret-key" not in ended.log
        return ended

    return run


def test_a_bucket_that_is_not_there(download: Callable[..., Ended], store: Store) -> None:
    reason = download(MODEL_REPOSITORY=f"s3+{store.endpoint}/nobodys-bucket/V3").reason
    assert reason.startswith(
        f"There is no bucket nobodys-bucket at {store.endpoint}: correct deepseek:model.repository"
    )


def test_a_folder_without_digests(download: Callable[..., Ended], store: Store) -> None:
    store.delete("SHA256SUMS")
    reason = download().reason
    assert f"{store.url()} has no SHA256SUMS" in reason
    assert "find . -type f ! -name SHA256SUMS -exec sha256sum {} + > SHA256SUMS" in reason


def test_files_of_the_list_that_are_not_in_the_bucket(download: Callable[..., Ended], store: Store) -> None:
    for path in ("model-1.safetensors", "model-2.safetensors"):
        store.delete(path)
    assert (
        "lacks 2 of the files that its SHA256SUMS names (model-1.safetensors, model-2.safetensors)" in download().reason
    )


@pytest.mark.parametrize(
    ("sums", "told"),
    [
        (b"<html>log in</html>\n", "Line 1 of SHA256SUMS"),
        (b"\n", "names no file"),
        (b"a" * 64 + b"  ../config.json\n", "files whose names leave"),
        (b"a" * 64 + b"  /etc/passwd\n", "files whose names leave"),
        (b"a" * 64 + b"  .git/config\n", "files whose names leave"),
    ],
)
def test_a_list_that_is_none_or_leads_out_of_the_folder(
    download: Callable[..., Ended], store: Store, sums: bytes, told: str
) -> None:
    for name in ("../config.json", ".git/config", "/etc/passwd"):
        store.put({name: b"{}"}, sums=False)
    store.put({"SHA256SUMS": sums}, sums=False)
    reason = download().reason
    assert told in reason or "lacks 1 of the files" in reason, reason


def test_a_folder_that_holds_no_model(download: Callable[..., Ended], store: Store, content: dict[str, bytes]) -> None:
    store.put({"README.md": b"nothing"})
    assert "has no config.json among its files" in download().reason
    store.put({"config.json": b"{}"})
    assert "has no safetensors file" in download().reason
    store.put({path: data for path, data in content.items() if path != "model-2.safetensors"})
    assert "model.safetensors.index.json names model-2.safetensors, which is not among the files" in download().reason


def test_a_name_that_does_not_resolve(download: Callable[..., Ended]) -> None:
    reason = download(MODEL_REPOSITORY="s3+https://store.invalid/bucket/V3").reason
    assert "store.invalid does not resolve inside the cluster: correct deepseek:model.repository" in reason


def test_a_port_that_nobody_listens_on(download: Callable[..., Ended]) -> None:
    reason = download(MODEL_REPOSITORY="s3+http://127.0.0.1:9/bucket").reason
    assert "http://127.0.0.1:9 cannot be reached" in reason
    assert "deepseek:model.repository" in reason


def test_a_web_page_in_place_of_a_store(download: Callable[..., Ended]) -> None:
    with answering(404, b"<html>no such page") as server:
        reason = download(MODEL_REPOSITORY=f"s3+{server.url}/bucket").reason
    assert "deepseek:model.repository" in reason or "has no SHA256SUMS" in reason


def test_a_certificate_that_is_not_trusted(download: Callable[..., Ended], tmp_path: Path) -> None:
    with answering(certificate=self_signed(tmp_path)) as server:
        reason = download(MODEL_REPOSITORY=f"s3+https://localhost:{server.server_port}/bucket").reason
    assert f"The certificate of https://localhost:{server.server_port} is not trusted" in reason
    assert "deepseek:network.caSecret" in reason


def test_plain_text_where_tls_is_spoken(download: Callable[..., Ended], store: Store) -> None:
    reason = download(MODEL_REPOSITORY=store.url().replace("http:", "https:")).reason
    assert "does not speak TLS: correct the scheme or port of deepseek:model.repository" in reason


def test_a_company_has_a_proxy_and_an_authority_of_its_own(
    download: Callable[..., Ended], volume: S3Volume, store: Store, content: dict[str, bytes], tmp_path: Path
) -> None:
    user, password = "site user", "p@ss/word:'1%"
    authority = signed(tmp_path)
    speak_tls(store, tmp_path / "server.pem")
    with Proxy(store.server_port, user, password) as proxy:
        threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        address = store.url().replace(store.endpoint, f"https://{HOST}")
        site = {"MODEL_REPOSITORY": address, "PROXY": proxy.url, "AUTHORITIES": str(authority)}
        given = {"PROXY_USERNAME": user, "PROXY_PASSWORD": password}
        assert "deepseek:network.proxySecret" in download(**site).reason
        assert "deepseek:network.caSecret" in download(**site | given | {"AUTHORITIES": ""}).reason
        ended = volume.download(**site, **given)
        proxy.shutdown()
    assert ended.code == 0, ended.log
    assert volume.content() == content
    assert set(proxy.connected) == {f"{HOST}:443"}
    assert password not in ended.log
