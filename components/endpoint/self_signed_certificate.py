"""A certificate for a host that is its own issuer, and the private key."""

import datetime as dt

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from components.shared.tls_secret import CERTIFICATE, PRIVATE_KEY

VALID_DAYS = 825
"""Apple's clients take no certificate of a server for longer, also of authorities that a person added (HT210176)."""

LONGEST_COMMON_NAME = 64


def self_signed(host: str) -> dict[str, bytes]:
    """Return a certificate for a host and its private key (P-256), as PEM, valid from an hour ago for VALID_DAYS.

    Their names are those of a Secret of type kubernetes.io/tls.
    """
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
