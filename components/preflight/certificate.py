"""Whether the certificate of `endpoint.tlsSecret` is one that a client of `endpoint.host` takes now."""

import base64
import binascii
import contextlib
import ssl
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from kubernetes import client

from components.shared.cluster_api import ABSENT, TIMEOUT_SECONDS, read
from components.shared.tls_secret import CERTIFICATE, PRIVATE_KEY
from planning.problems import Problem
from planning.settings.sections import Endpoint

KEY = "endpoint.tlsSecret"
MOST_STEPS = 10
"""Of a handshake, which takes two of each side."""


def of_endpoint(core: client.CoreV1Api, namespace: str, endpoint: Endpoint) -> Iterator[Problem]:
    """Return what is wrong with the Secret; nothing where this person may not read it."""
    secret, host = endpoint.tls_secret, endpoint.host
    if not (secret and host):
        return
    found = read(partial(core.read_namespaced_secret, secret, namespace, _request_timeout=TIMEOUT_SECONDS))
    create = f"kubectl -n {namespace} create secret tls {secret} --cert={CERTIFICATE} --key={PRIVATE_KEY}"
    if found is ABSENT:
        yield Problem(KEY, f"there is no Secret '{secret}' in namespace '{namespace}'", create)
    elif isinstance(found, client.V1Secret) and (problem := _fault(found.data or {}, host)):
        yield Problem(KEY, f"Secret '{secret}': {problem}", create)


def _fault(data: Mapping[str, str | bytes], host: str) -> str:
    try:
        certificate, key = base64.b64decode(data[CERTIFICATE]), base64.b64decode(data[PRIVATE_KEY])
    except (KeyError, binascii.Error):
        return f"it has no {CERTIFICATE} and {PRIVATE_KEY}"
    try:
        return refusal(certificate, key, host)
    except (ssl.SSLError, ValueError):
        return f"{CERTIFICATE} is no certificate in PEM form, or {PRIVATE_KEY} is not its key"


def refusal(certificate: bytes, key: bytes, host: str) -> str:
    """Return why a client of `host` that trusts the issuer refuses a certificate (PEM) now; nothing if it does not.

    Raises ssl.SSLError if the two are no certificate and its key.
    """
    server, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The library reads files only. This folder is the user's own, and gone at once.
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in (CERTIFICATE, PRIVATE_KEY)]
        for file, content in zip(files, (certificate, key), strict=True):
            file.touch(mode=0o600)
            file.write_bytes(content)
        server.load_cert_chain(*files, password="")
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    trusting.load_verify_locations(cadata=certificate.decode("ascii"))
    try:
        shake_hands(trusting, server, host)
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    return ""


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> str | None:
    """Let a client of a host meet a server, both in memory; return the version of TLS that they speak, if they do.

    Raises ssl.SSLCertVerificationError where the client refuses the server's certificate.
    """
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(MOST_STEPS):
        for end in ends:
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    return ends[0].version()
