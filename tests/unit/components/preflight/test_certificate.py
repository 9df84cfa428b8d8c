"""What a certificate's Secret says against a stack, before anything is made."""

import base64
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from components.preflight.certificate import of_endpoint
from planning.settings.sections import Endpoint
from tests.endpoint.certificates import make_certificate, make_ended_certificate
from tests.unit.components.stub_api import stub_api

HOST = "llm.example.com"
PATH = "/api/v1/namespaces/deepseek/secrets/door-tls"


def told(answer: Any, host: str = HOST) -> list[str]:
    endpoint = Endpoint.model_validate({"proxy": True, "host": host, "tlsSecret": "door-tls"})
    with stub_api({PATH: answer}) as (api, _):
        return [str(problem) for problem in of_endpoint(client.CoreV1Api(api), "deepseek", endpoint)]


def secret(certificate: bytes, key: bytes) -> dict[str, Any]:
    data = {"tls.crt": certificate, "tls.key": key}
    return {
        "metadata": {"name": "door-tls"},
        "data": {name: base64.b64encode(of).decode() for name, of in data.items()},
    }


def made(folder: Path, host: str) -> tuple[bytes, bytes]:
    certificate, key = make_certificate(folder / host.replace("*", "any"), host)
    return certificate.read_bytes(), key.read_bytes()


@pytest.mark.parametrize("host", [HOST, "*.example.com"])
def test_a_certificate_for_the_host_is_taken(tmp_path: Path, host: str) -> None:
    assert not told(secret(*made(tmp_path, host)))


def test_one_for_another_host_is_refused_with_both_names(tmp_path: Path) -> None:
    [problem] = told(secret(*made(tmp_path, "other.example.com")))
    assert problem.startswith("endpoint.tlsSecret: Secret 'door-tls': ")
    assert f"certificate is not valid for '{HOST}'" in problem
    assert "kubectl -n deepseek create secret tls door-tls" in problem


def test_one_that_has_ended_is_refused(tmp_path: Path) -> None:
    certificate, key = make_ended_certificate(tmp_path / "ended", HOST)
    [problem] = told(secret(certificate.read_bytes(), key.read_bytes()))
    assert "certificate has expired" in problem


def test_one_with_another_key_or_none_at_all_is_refused_without_a_word_of_the_key(tmp_path: Path) -> None:
    certificate, key = made(tmp_path, HOST)
    _, other = made(tmp_path / "other", HOST)
    for data in (secret(certificate, other), secret(b"text", key), secret(certificate, b"")):
        [problem] = told(data)
        assert "tls.crt is no certificate in PEM form, or tls.key is not its key" in problem
        assert key.decode().splitlines()[1] not in problem
    [problem] = told({"metadata": {"name": "door-tls"}, "data": {"cert": "eA=="}})
    assert "it has no tls.crt and tls.key" in problem


def test_a_secret_that_is_not_there_is_named_with_the_command_that_makes_it() -> None:
    [problem] = told(404)
    assert "there is no Secret 'door-tls' in namespace 'deepseek'" in problem


def test_a_secret_that_may_not_be_read_is_left_alone() -> None:
    assert not told(403)
