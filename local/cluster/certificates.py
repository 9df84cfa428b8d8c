"""The certificates of a cluster, made once with openssl, and the kubeconfig that goes with them."""

import base64
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DAYS = 3650
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_NO_DEFAULTS = "[req]\ndistinguished_name = subject\n[subject]\n"


@dataclass(frozen=True)
class Certificates:
    """One authority; one certificate for the API server, one for whoever administers the cluster."""

    folder: Path

    @property
    def authority(self) -> Path:
        """What both are signed with."""
        return self.folder / "authority.crt"

    @property
    def api_server(self) -> Path:
        """The API server's certificate; service account tokens are signed with its key too."""
        return self.folder / "api-server.crt"

    @property
    def api_server_key(self) -> Path:
        """The API server's private key."""
        return self.folder / "api-server.key"

    @property
    def admin(self) -> Path:
        """The client certificate of group `system:masters`, which may do everything."""
        return self.folder / "admin.crt"

    @property
    def admin_key(self) -> Path:
        """The private key of that."""
        return self.folder / "admin.key"

    def ensure(self, addresses: Sequence[str]) -> None:
        """Make what is missing; the API server is reached under `addresses` and the names of its Service."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.folder / "openssl.cnf").write_text(_NO_DEFAULTS)
        names = ["DNS:" + ".".join(SERVICE_NAME[:count]) for count in range(1, len(SERVICE_NAME) + 1)]
        names += [f"IP:{address}" for address in addresses]
        self._make("authority", "/CN=local cluster", ("basicConstraints=critical,CA:TRUE", "keyUsage=keyCertSign"))
        self._make(
            "api-server",
            "/CN=kube-apiserver",
            ("extendedKeyUsage=serverAuth", f"subjectAltName={','.join(names)}"),
            signed_by="authority",
        )
        self._make("admin", "/O=system:masters/CN=admin", ("extendedKeyUsage=clientAuth",), signed_by="authority")

    def _make(self, name: str, subject: str, extensions: Sequence[str], signed_by: str | None = None) -> None:
        if (self.folder / f"{name}.crt").exists():
            return
        command = ["openssl", "req", "-x509", "-config", "openssl.cnf", *_NEW_KEY, "-days", str(DAYS)]
        command += ["-subj", subject, "-keyout", f"{name}.key", "-out", f"{name}.crt.new"]
        for extension in extensions:
            command += ["-addext", extension]
        if signed_by:
            command += ["-CA", f"{signed_by}.crt", "-CAkey", f"{signed_by}.key"]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)
        (self.folder / f"{name}.crt.new").rename(self.folder / f"{name}.crt")


SERVICE_NAME = ("kubernetes", "default", "svc", "cluster", "local")


def kubeconfig(url: str, certificates: Certificates, name: str) -> str:
    """A kubeconfig with everything in it, as JSON, which is YAML too."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "clusters": [
            {"name": name, "cluster": {"server": url, "certificate-authority-data": _encoded(certificates.authority)}}
        ],
        "users": [
            {
                "name": name,
                "user": {
                    "client-certificate-data": _encoded(certificates.admin),
                    "client-key-data": _encoded(certificates.admin_key),
                },
            }
        ],
    }
    return json.dumps(config, indent=1)


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
