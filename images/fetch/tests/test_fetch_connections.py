"""The site's proxy and certificate authorities, with real git and git-lfs."""

from pathlib import Path
from typing import Any

import connections
import pytest
from company import HOST, company
from download_program import LASTING
from failure import Failed
from fetch_pods import Repository, Volume

USER, PASSWORD = "site user", "p@ss/word:'1%"
URL = f"https://{HOST}/model.git"


def test_weights_come_through_the_proxy_of_a_company_with_its_own_authority(
    volume: Volume, repository: Repository, tmp_path: Path
) -> None:
    with company(repository.root, tmp_path, USER, PASSWORD) as (proxy, authority):
        ended = volume.download(
            MODEL_REPOSITORY=URL,
            PROXY=proxy.url,
            PROXY_USERNAME=USER,
            PROXY_PASSWORD=PASSWORD,
            AUTHORITIES=str(authority),
        )
        assert ended.code == 0, ended.log
        assert len(proxy.connected) > 1
        assert set(proxy.connected) == {f"{HOST}:443"}
    assert volume.content() == repository.content
    assert PASSWORD not in ended.log


def test_without_the_authority_its_key_is_named(volume: Volume, repository: Repository, tmp_path: Path) -> None:
    with company(repository.root, tmp_path, USER, PASSWORD) as (proxy, _):
        given = {"PROXY": proxy.url, "PROXY_USERNAME": USER, "PROXY_PASSWORD": PASSWORD}
        ended = volume.download(MODEL_REPOSITORY=URL, **given)
    assert ended.code, ended.log
    assert "deepseek:network.caSecret" in ended.reason


def test_without_credentials_their_key_is_named(volume: Volume, repository: Repository, tmp_path: Path) -> None:
    with company(repository.root, tmp_path, USER, PASSWORD) as (proxy, authority):
        ended = volume.download(MODEL_REPOSITORY=URL, PROXY=proxy.url, AUTHORITIES=str(authority))
    assert ended.code, ended.log
    assert "deepseek:network.proxySecret" in ended.reason


def test_the_repository_is_reached_without_the_proxy_where_the_site_says_so(
    volume: Volume, repository: Repository
) -> None:
    ended = volume.download(PROXY="http://127.0.0.1:9", NO_PROXY="127.0.0.1")
    assert ended.code == 0, ended.log
    assert volume.content() == repository.content


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_a_secret_without_a_certificate_ends_the_download(volume: Volume, tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "ca.crt"
    if text is not None:
        file.write_text(text)
    ended = volume.download(AUTHORITIES=str(file))
    assert ended.code == LASTING, ended.log
    assert "deepseek:network.caSecret" in ended.reason


def test_a_pod_without_them_is_as_it_was() -> None:
    assert connections.variables({"NO_PROXY": "x"}) == {}


def test_what_the_image_trusts_stays_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known, added, trusted = (tmp_path / name for name in ("known", "added", "trusted"))
    known.write_text("-----BEGIN CERTIFICATE-----\nknown")
    added.write_text("-----BEGIN CERTIFICATE-----\nadded")
    monkeypatch.setattr(connections, "SYSTEM", known)
    monkeypatch.setattr(connections, "TRUSTED", trusted)
    found = connections.variables({"AUTHORITIES": str(added)})
    assert set(found.values()) == {str(trusted)}
    assert trusted.read_text().split("\n")[1::2] == ["known", "added"]


@pytest.mark.parametrize("broken", ["", "latin"])
def test_certificates_that_cannot_be_read_are_told_by_their_key(tmp_path: Path, broken: Any) -> None:
    file = tmp_path / "ca.crt"
    file.write_bytes(b"\xff" if broken else b"")
    with pytest.raises(Failed, match=r"network\.caSecret"):
        connections.variables({"AUTHORITIES": str(file)})
