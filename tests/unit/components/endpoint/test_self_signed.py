"""A certificate that the program makes: clients that trust it take it, and it stays."""

import base64
import json
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pulumi
import pytest
from cryptography.hazmat.primitives import serialization
from pulumi.runtime import rpc

from components.endpoint.self_signed_certificate import VALID_DAYS, self_signed
from components.preflight import certificate
from components.shared.tls_secret import CERTIFICATE, PRIVATE_KEY
from tests.unit.components.endpoint.test_endpoint import configured, pod_template
from tests.unit.components.endpoint.test_keys import plain
from tests.unit.components.registrations import Program, run

HOST = "llm.example.com"


def program(**keys: Any) -> Program:
    return run(configured(host=HOST, selfSigned=True, **keys))


def meet(folder: Path, host: str) -> None:
    """Let a strict client of a host, which trusts nothing but the certificate for HOST, meet the server that has it."""
    for name, content in self_signed(HOST).items():
        (folder / name).write_bytes(content)
    client = ssl.create_default_context(cafile=str(folder / CERTIFICATE))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / CERTIFICATE, folder / PRIVATE_KEY)
    assert certificate.shake_hands(client, server, host) in ("TLSv1.2", "TLSv1.3")


def test_a_strict_client_that_trusts_it_takes_it_for_its_host_and_no_other(tmp_path: Path) -> None:
    meet(tmp_path, HOST)
    with pytest.raises(ssl.SSLCertVerificationError, match="not valid for 'other\\.example\\.com'"):
        meet(tmp_path, "other.example.com")


def test_it_holds_as_long_as_is_said_and_a_long_name_is_no_obstacle(tmp_path: Path) -> None:
    host = f"{'a' * 60}.{'b' * 60}.example.com"
    (tmp_path / CERTIFICATE).write_bytes(self_signed(host)[CERTIFICATE])
    almost, after = ((VALID_DAYS - 1) * 86400, VALID_DAYS * 86400)
    for seconds, returned in ((almost, 0), (after, 1)):
        command = ["openssl", "x509", "-in", tmp_path / CERTIFICATE, "-noout", "-checkend", str(seconds)]
        assert subprocess.run(command, check=False, capture_output=True).returncode == returned
    shown = subprocess.run(
        ["openssl", "x509", "-in", tmp_path / CERTIFICATE, "-noout", "-ext", "subjectAltName"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert f"DNS:{host}" in shown


def test_it_is_made_once_for_each_host_and_the_proxies_have_it() -> None:
    found = program()
    secret = found.one("Secret", f"deepseek-endpoint-{HOST}")
    assert secret.inputs["type"] == "kubernetes.io/tls"
    assert secret.request.ignoreChanges == ["data"]
    [volume] = [item for item in pod_template(found)["spec"]["volumes"] if item["name"] == "tls"]
    assert volume["secret"]["secretName"] == secret.inputs["metadata"]["name"]
    names = {item.name for item in run(configured(host="b.example.com", selfSigned=True)).kubernetes()}
    assert "deepseek-endpoint-b.example.com" in names
    assert secret.name not in names, "a certificate for another host is another object"


def test_its_key_is_a_secret_of_the_state_too() -> None:
    found = program()
    data = found.one("Secret", f"deepseek-endpoint-{HOST}").inputs["data"]
    assert rpc.is_rpc_secret(data), "Pulumi encrypts it"
    key = base64.b64decode(plain(plain(data)[PRIVATE_KEY]))
    assert b" PRIVATE KEY" in key
    assert serialization.load_pem_private_key(key, password=None)
    rest = [item.inputs for item in found.kubernetes() if not item.type.endswith(":Secret")]
    assert "PRIVATE KEY" not in json.dumps([rest, found.outputs], default=str)


def test_the_outputs_say_how_to_trust_it() -> None:
    outputs = program().outputs
    name = program().one("Secret", f"deepseek-endpoint-{HOST}").inputs["metadata"]["name"]
    assert outputs["saveCertificate"] == (
        f"kubectl -n deepseek get secret {name} -o jsonpath='{{.data.tls\\.crt}}' | base64 -d > deepseek.crt"
    )
    assert outputs["ask"].startswith(f"curl --cacert deepseek.crt --resolve {HOST}:8443:127.0.0.1 ")
    assert "saveCertificate" not in run(configured()).outputs


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"selfSigned": True}, "endpoint.selfSigned: needs the name"),
        ({"selfSigned": True, "host": HOST, "proxy": False}, "endpoint.selfSigned: needs the proxies"),
        ({"selfSigned": True, "host": HOST, "tlsSecret": "door-tls"}, "endpoint.selfSigned: is a second certificate"),
        (
            {"selfSigned": True, "host": HOST, "ingressClass": "nginx"},
            "endpoint.selfSigned: is for the proxies, and with endpoint.ingressClass the Ingress takes TLS",
        ),
        (
            {"selfSigned": True, "host": HOST, "gateway": {"name": "shared", "listener": "https"}},
            "endpoint.selfSigned: cannot stand beside endpoint.gateway",
        ),
    ],
)
def test_what_it_cannot_stand_beside_is_refused(keys: dict[str, object], said: str) -> None:
    with pytest.raises(pulumi.RunError, match=said):
        run(configured(**keys))


def test_a_load_balancer_takes_it() -> None:
    service = program(serviceType="LoadBalancer").one("Service", "deepseek").inputs["spec"]
    assert service["type"] == "LoadBalancer"
    assert {port["port"] for port in service["ports"]} == {8000, 443}
