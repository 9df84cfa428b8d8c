"""A door with TLS, whose certificate stands in a folder as the kubelet mounts a Secret."""

import socket
import ssl
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from components.endpoint.haproxy_sections import CONFIGURATION_FOLDER, TLS_FOLDER, TLS_PORT
from components.endpoint.proxy_pod import RENEWED_SECONDS, START_WITH_TLS
from tests.endpoint.certificates import make_certificate, mount
from tests.endpoint.door import Door, Engine, Run, free_port, running_door, status_of
from tests.endpoint.test_paths import request

HOST = "llm.example.com"
HOLDS_WITHIN_SECONDS = 60


@dataclass
class Secured:
    """A door with TLS at `port`, and the folder of its certificate."""

    door: Door
    port: int
    folder: Path

    def connect(self) -> ssl.SSLSocket:
        """Connect as a client that trusts the certificate."""
        context = ssl.create_default_context(cafile=self.folder / "server.pem")
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        return context.wrap_socket(raw, server_hostname=HOST)

    def status(self) -> int:
        """Ask for `/health`."""
        with self.connect() as connection:
            connection.sendall(request("GET", "/health"))
            return status_of(connection.recv(65536))

    def presented(self) -> str:
        """Return the certificate that clients see."""
        return ssl.get_server_certificate(("127.0.0.1", self.port), timeout=10)

    def becomes(self, certificate: str) -> bool:
        """Whether clients see this certificate before long."""
        deadline = time.monotonic() + HOLDS_WITHIN_SECONDS
        while self.presented() != certificate:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)
        return True


@contextmanager
def running_secured_door(
    folder: Path, engine: Engine, keys: Mapping[str, str] | None = None, *, days: int = 30
) -> Generator[Secured]:
    """Run one until the context ends, by the command of the pod, which looks every second for another certificate.

    Its first certificate lasts so many `days`.
    """
    mount(folder / "tls", *make_certificate(folder / "first", HOST, days))
    port = free_port()
    changed = {
        f"LISTEN}}:{TLS_PORT}": f"LISTEN}}:{port}",
        f"{TLS_FOLDER}/": f"{folder}/tls/",
        "abns@certificate": f"abns@certificate-{port}",
    }
    start = START_WITH_TLS.replace(f"{TLS_FOLDER}/", f"{folder}/tls/")
    start = start.replace(f"{CONFIGURATION_FOLDER}/", f"{folder}/").replace(f"sleep {RENEWED_SECONDS}", "sleep 1")
    # As on a machine whose DNS knows no search domain.
    start = start.replace("export DOMAIN=$(sed", ": $(sed").replace("export LISTEN=0.0.0.0", "export LISTEN=127.0.0.1")
    run = Run(changed=changed, command=["sh", "-c", start])
    with running_door(folder, engine, keys, run, tls=True) as door:
        yield Secured(door, port, folder / "tls")
