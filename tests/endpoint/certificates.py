"""Certificates made by openssl, and a folder of them as the kubelet mounts a Secret."""

import ssl
import subprocess
from pathlib import Path

from components.endpoint.haproxy_sections import CERTIFICATE

REQUEST = ("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
AUTHORITY = """[ca]
default_ca = own
[own]
database = {folder}/index
rand_serial = yes
new_certs_dir = {folder}
default_md = sha256
policy = any
copy_extensions = copy
[any]
commonName = supplied
"""


def make_certificate(folder: Path, host: str, days: int = 30) -> tuple[Path, Path]:
    """Make a self-signed certificate for a host, and its key."""
    return _made(folder, host, "-x509", "-days", str(days), "-out")


def end_of(certificate: Path) -> float:
    """Return when a certificate ends, in seconds since the epoch."""
    command = ["openssl", "x509", "-in", certificate, "-noout", "-enddate"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return ssl.cert_time_to_seconds(text.partition("=")[2].strip())


def make_ended_certificate(folder: Path, host: str) -> tuple[Path, Path]:
    """Make one that ended in February 2020."""
    _, key = _made(folder, host, "-out", name="request")
    (folder / "index").touch()
    (folder / "ca.conf").write_text(AUTHORITY.format(folder=folder))
    command = ["openssl", "ca", "-selfsign", "-batch", "-notext", "-config", folder / "ca.conf", "-keyfile", key]
    times = ["-startdate", "20200101000000Z", "-enddate", "20200201000000Z"]
    files = ["-in", folder / "request", "-out", folder / "tls.crt"]
    subprocess.run([*command, *times, *files], check=True, capture_output=True)
    return folder / "tls.crt", key


def _made(folder: Path, host: str, *options: str, name: str = "tls.crt") -> tuple[Path, Path]:
    folder.mkdir(parents=True)
    made, key = folder / name, folder / "tls.key"
    names = ["-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"]
    subprocess.run([*REQUEST, *names, "-keyout", key, *options, made], check=True, capture_output=True)
    return made, key


def mount(folder: Path, certificate: Path, key: Path) -> None:
    """Have both in the folder under HAProxy's names, in place of those that were there, all at once."""
    version = folder / f"..{certificate.parent.name}"
    version.mkdir(parents=True)
    names = {CERTIFICATE: certificate, f"{CERTIFICATE}.key": key}
    for name, source in names.items():
        (version / name).write_bytes(source.read_bytes())
    (folder / "..new").symlink_to(version.name)
    (folder / "..new").rename(folder / "..data")
    for name in names:
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
