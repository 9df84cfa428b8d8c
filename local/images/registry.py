"""The embedded cluster's image registry: Debian's docker-registry on the bridge, open only with a password.

What is pushed lies in the cache and outlives the cluster, so that images are built once.
"""

import base64
import json
import secrets
import subprocess
from pathlib import Path

from local import paths
from local.images import oci
from local.machine import addresses, probes
from local.machine.processes import Daemon

PORT = 5000
ADDRESS = f"{addresses.NODE}:{PORT}"
USER = "deepseek"


def registry_daemon(password: str, *, host: str = addresses.NODE, state: Path = paths.STATE) -> Daemon:
    """How the registry is run."""
    folder = state / "registry"
    password_file = folder / "htpasswd"
    _write_password_file(password_file, password)
    config = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(paths.REGISTRY_STORAGE)}, "delete": {"enabled": True}},
        "http": {"addr": f"{host}:{PORT}"},
        "auth": {"htpasswd": {"realm": "registry", "path": str(password_file)}},
    }
    # JSON is YAML, and needs no library here.
    return Daemon(
        name="registry",
        command=("/usr/bin/docker-registry", "serve", str(folder / "config.yml")),
        files={folder / "config.yml": json.dumps(config, indent=2)},
        ready=lambda: probes.listens(host, PORT),
    )


def load_password(state: Path = paths.STATE) -> str:
    """The password of this machine's registry, made at the first call and kept."""
    file = state / "registry" / "password"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(24))
        file.with_name("htpasswd").unlink(missing_ok=True)  # of a password that is lost
    return file.read_text()


def client(password: str, *, host: str = addresses.NODE) -> oci.Registry:
    """What pushes to it from this machine."""
    return oci.Registry(address=f"{host}:{PORT}", user=USER, password=password)


def docker_config(password: str) -> str:
    """The content of a Secret of type kubernetes.io/dockerconfigjson that pulls from it and pushes to it."""
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    return json.dumps({"auths": {ADDRESS: {"username": USER, "password": password, "auth": auth}}})


def _write_password_file(file: Path, password: str) -> None:
    """Write the bcrypt hash that the registry wants; the salt differs each time, so once."""
    if file.exists():
        return
    hashed = subprocess.run(
        ["/usr/bin/htpasswd", "-niB", USER], input=password, capture_output=True, text=True, check=True
    ).stdout
    file.touch(mode=0o600)
    file.write_text(hashed)
