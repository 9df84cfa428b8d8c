"""What will not pass by itself ends soon, and says which key or object has to be changed."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from company import HOST, Proxy, signed
from download_program import LASTING
from fetch_pods import Ended
from oci_registry import TITLE, Registry
from oci_volume import OciVolume
from wrong_servers import answering, self_signed, speak_tls


@pytest.fixture
def download(volume: OciVolume, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Download with the patience of an hour, and half a second for what lasts."""
    monkeypatch.setattr("fetch_pods.SETTINGS", {"patience.LASTING_SECONDS": 0.5})

    def run(**changes: str) -> Ended:
        ended = volume.download(**{"PATIENCE_SECONDS": "3600", **changes})
        assert ended.code == LASTING, ended.log
        return ended

    return run


def test_a_tag_and_a_repository_that_are_not_there(download: Callable[..., Ended], registry: Registry) -> None:
    reason = download(MODEL_REVISION="missing").reason
    assert f"{registry.url()} has no tag or digest missing, or is no repository: correct deepseek:model" in reason
    assert "has no tag or digest" in download(MODEL_REVISION=64 * "a").reason
    reason = download(MODEL_REPOSITORY=registry.url("nobody/nothing")).reason
    assert "nobody/nothing has no tag or digest main, or is no repository" in reason


def test_a_registry_that_says_that_there_is_no_repository(download: Callable[..., Ended]) -> None:
    with answering(404, b'{"errors": [{"code": "NAME_UNKNOWN", "message": "unknown"}]}') as server:
        reason = download(MODEL_REPOSITORY=f"oci+{server.url}/models/v3").reason
    assert "There is no repository" in reason
    assert "correct deepseek:model.repository" in reason


@pytest.mark.parametrize("path", ["../config.json", "/etc/passwd", ".git/config", "a//b", "a/../../b", "nul\0", "."])
def test_a_name_that_leads_out_of_the_folder(download: Callable[..., Ended], registry: Registry, path: str) -> None:
    registry.push_manifest([registry.layer(b"{}", annotations={TITLE: path})], tag="outside")
    assert "files whose names leave the repository's folder" in download(MODEL_REVISION="outside").reason


LAYERS: dict[str, tuple[dict[str, Any], str]] = {
    "no name": ({"annotations": {}}, "has no name"),
    "folder of ORAS": (
        {"annotations": {TITLE: "model", "io.deis.oras.content.unpack": "true"}},
        "is an archive (application/vnd.oci.image.layer.v1.tar)",
    ),
    "compressed": ({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip"}, "is an archive"),
    "archive of KitOps": ({"mediaType": "application/vnd.kitops.modelkit.model.v1.tar"}, "is an archive"),
    "archive of ModelPack": ({"mediaType": "application/vnd.cncf.model.weight.v1.tar"}, "is an archive"),
}


@pytest.mark.parametrize(("changes", "told"), LAYERS.values(), ids=LAYERS)
def test_a_layer_that_is_no_file(
    download: Callable[..., Ended], registry: Registry, changes: dict[str, Any], told: str
) -> None:
    layer = registry.layer(b"{}") | {"annotations": {TITLE: "config.json"}, **changes}
    registry.push_manifest([layer], tag="wrong")
    reason = download(MODEL_REVISION="wrong").reason
    assert reason.startswith("Layer 1 of")
    assert told in reason
    assert "oras push REFERENCE FILE…" in reason


def test_an_artifact_that_holds_no_model(download: Callable[..., Ended], registry: Registry) -> None:
    registry.push({}, tag="empty")
    assert "has no layers" in download(MODEL_REVISION="empty").reason
    registry.push({"README.md": b"nothing"}, tag="readme")
    assert "has no config.json among its files" in download(MODEL_REVISION="readme").reason


def test_an_index_that_names_a_file_without_a_layer(
    download: Callable[..., Ended], registry: Registry, content: dict[str, bytes]
) -> None:
    lacking = {path: data for path, data in content.items() if path != "model-2.safetensors"}
    registry.push(lacking, tag="lacking")
    assert "index.json names model-2.safetensors, which is not" in download(MODEL_REVISION="lacking").reason


def test_two_layers_of_one_name(download: Callable[..., Ended], registry: Registry) -> None:
    layers = [registry.layer(data, annotations={TITLE: "config.json"}) for data in (b"1", b"2")]
    registry.push_manifest(layers, tag="twice")
    assert "two layers of the name 'config.json' with different digests" in download(MODEL_REVISION="twice").reason


def test_a_name_that_does_not_resolve(download: Callable[..., Ended]) -> None:
    reason = download(MODEL_REPOSITORY="oci://registry.invalid/models/v3").reason
    assert "registry.invalid" in reason
    assert "does not resolve inside the cluster: correct deepseek:model.repository" in reason


def test_a_port_that_nobody_listens_on(download: Callable[..., Ended]) -> None:
    reason = download(MODEL_REPOSITORY="oci+http://127.0.0.1:9/models/v3").reason
    assert "http://127.0.0.1:9 cannot be reached" in reason


@pytest.mark.parametrize("status", [200, 404])
def test_a_web_page_in_place_of_a_registry(download: Callable[..., Ended], status: int) -> None:
    with answering(status) as server:
        reason = download(MODEL_REPOSITORY=f"oci+{server.url}/models/v3").reason
    assert "something other than a registry's data, such as a web page: correct deepseek:model.repository" in reason


def test_a_manifest_that_is_not_the_pinned_one(download: Callable[..., Ended]) -> None:
    with answering(200, b'{"layers": []}') as server:
        reason = download(MODEL_REPOSITORY=f"oci+{server.url}/models/v3", MODEL_REVISION=64 * "a").reason
    assert f"deepseek:model.revision pins {64 * 'a'}" in reason


def test_an_index_is_no_artifact(download: Callable[..., Ended]) -> None:
    with answering(200, b'{"manifests": []}') as server:
        reason = download(MODEL_REPOSITORY=f"oci+{server.url}/models/v3").reason
    assert "is an index of several artifacts: set deepseek:model.revision to the digest of the one" in reason


def test_a_digest_that_is_no_sha256(download: Callable[..., Ended]) -> None:
    manifest = (
        b'{"layers": [{"digest": "sha512:00", "size": 1, "annotations": {"%s": "config.json"}}]}' % TITLE.encode()
    )
    with answering(200, manifest) as server:
        reason = download(MODEL_REPOSITORY=f"oci+{server.url}/models/v3").reason
    assert "has the digest sha512:00, and only SHA-256 is read" in reason


def test_a_token_that_is_no_login_or_would_be_read_on_the_way(download: Callable[..., Ended]) -> None:
    assert "set it to USER:PASSWORD" in download(MODEL_TOKEN="no-colon").reason  # noqa: S106
    plain = {"MODEL_REPOSITORY": "oci+http://registry.invalid/models/v3", "MODEL_TOKEN": "me:my-password"}
    ended = download(**plain)
    assert "is sent over https only" in ended.reason
    assert "my-password" not in ended.log


def test_a_certificate_that_is_not_trusted(download: Callable[..., Ended], tmp_path: Path) -> None:
    with answering(certificate=self_signed(tmp_path)) as server:
        reason = download(MODEL_REPOSITORY=f"oci://localhost:{server.server_port}/models/v3").reason
    assert f"The certificate of https://localhost:{server.server_port} is not trusted" in reason
    assert "deepseek:network.caSecret" in reason


def test_plain_text_where_tls_is_spoken(download: Callable[..., Ended], registry: Registry) -> None:
    reason = download(MODEL_REPOSITORY=registry.url().replace("oci+http:", "oci:")).reason
    assert "does not speak TLS: correct the scheme or port of deepseek:model.repository" in reason


def test_a_company_has_a_proxy_and_an_authority_of_its_own(
    download: Callable[..., Ended], volume: OciVolume, registry: Registry, content: dict[str, bytes], tmp_path: Path
) -> None:
    user, password = "site user", "p@ss/word:'1%"
    authority = signed(tmp_path)
    speak_tls(registry, tmp_path / "server.pem")
    with Proxy(registry.server_port, user, password) as proxy:
        threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        address = registry.url().replace(f"oci+{registry.endpoint}", f"oci://{HOST}")
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
