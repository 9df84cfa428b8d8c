"""SelfSigned: the certificate of a door in a closed network, which has no authority to ask."""

import base64
import datetime as dt

import pulumi
import pulumi_kubernetes as k8s
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from components.shared.content import digest
from components.shared.labels import metadata

VALID_DAYS = 825
"""Apple's clients take no certificate of a server for longer, also of authorities that a person added (HT210176)."""

CERTIFICATE, PRIVATE_KEY = "tls.crt", "tls.key"
"""Under which a Secret of type kubernetes.io/tls has the two, as PEM."""

LONGEST_COMMON_NAME = 64


class SelfSigned(pulumi.ComponentResource):
    """Keeps a certificate for a host, which is its own issuer.

    Creates: a Secret of type kubernetes.io/tls. It is made once for each host and kept: what clients trust stays.
    Gives: `secret_name`. The private key leaves the Secret for the proxies only.
    """

    secret_name: pulumi.Output[str]

    def __init__(self, name: str, host: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("deepseek:index:SelfSigned", name, None, opts)
        # Another host is another resource: a replaced one would keep the data, which are ignored.
        secret = k8s.core.v1.Secret(
            f"{name}-{host}",
            metadata=metadata(f"{name}-{digest(host)}", "endpoint"),
            type="kubernetes.io/tls",
            data=pulumi.Output.secret(_encoded(self_signed(host))),
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["data"]),
        )
        self.secret_name = secret.metadata["name"]
        self.register_outputs({"secret_name": self.secret_name})


def self_signed(host: str) -> dict[str, bytes]:
    """Return a certificate for a host and its private key (P-256), as PEM, valid from an hour ago for VALID_DAYS."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:LONGEST_COMMON_NAME])])
    begins = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)  # for clients whose clock is behind
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(issuer)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + dt.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {CERTIFICATE: certificate.public_bytes(serialization.Encoding.PEM), PRIVATE_KEY: private}


def _encoded(data: dict[str, bytes]) -> dict[str, str]:
    return {name: base64.b64encode(content).decode() for name, content in data.items()}
