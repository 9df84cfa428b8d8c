"""A real registry on loopback (Debian's docker-registry), and before it a server that makes things go wrong."""

import base64
import hashlib
import http.client
import json
import subprocess
import threading
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from faulty_front import Front
from server_process import free_port, running_server

MODEL = "models/deepseek-v3"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
TITLE = "org.opencontainers.image.title"
FILE = "application/vnd.oci.image.layer.v1.tar"
"""What ORAS gives to files."""
USER, PASSWORD = "reader", "p@ss:word-of-the-tests"


class Registry(Front):
    """What the pods see of one registry."""

    def __init__(self, behind: int, authorization: str = "") -> None:
        super().__init__(behind)
        self.authorization = authorization

    def is_large(self, path: str) -> bool:
        return "/blobs/" in path

    def url(self, name: str = MODEL) -> str:
        return f"oci+{self.endpoint}/{name}"

    def push(self, content: Mapping[str, bytes], tag: str = "main", name: str = MODEL) -> str:
        """Push files as ORAS does, a layer each; return the SHA-256 of the manifest."""
        layers = [self.layer(data, name, annotations={TITLE: path}) for path, data in content.items()]
        return self.push_manifest(layers, tag, name)

    def layer(self, data: bytes, name: str = MODEL, **changes: object) -> dict[str, Any]:
        """Push a blob; return the descriptor of a layer."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        location = self._ask("POST", f"/v2/{name}/blobs/uploads/", b"", "application/octet-stream")
        path = "/" + location.split("/", 3)[3]
        self._ask("PUT", f"{path}&digest={digest}", data, "application/octet-stream")
        return {"mediaType": FILE, "digest": digest, "size": len(data), **changes}

    def push_manifest(self, layers: list[dict[str, Any]], tag: str = "main", name: str = MODEL) -> str:
        config = self.layer(b"{}", name, mediaType="application/vnd.oci.empty.v1+json")
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
        text = json.dumps(manifest).encode()
        self._ask("PUT", f"/v2/{name}/manifests/{tag}", text, MANIFEST)
        return hashlib.sha256(text).hexdigest()

    def _ask(self, method: str, path: str, data: bytes, form: str) -> str:
        headers = {"Content-Type": form} | ({"Authorization": self.authorization} if self.authorization else {})
        with closing(http.client.HTTPConnection("127.0.0.1", self.behind, timeout=30)) as connection:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            said = answer.read()
        assert answer.status < 300, said
        return answer.headers.get("Location", "")


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


@contextmanager
def registry_server(folder: Path, auth: Mapping[str, Any] | None = None) -> Generator[int]:
    """Run a registry, open or with this section `auth`; give its port."""
    port = free_port()
    config = {
        "version": "0.1",
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "blobs")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    } | ({"auth": auth} if auth else {})
    (folder / "config.yml").write_text(json.dumps(config))
    command = ["docker-registry", "serve", str(folder / "config.yml")]
    with running_server(command, port, folder / "registry.log"):
        yield port


def with_password(folder: Path) -> dict[str, Any]:
    """The section `auth` of a registry that wants name and password."""
    hashed = subprocess.run(["htpasswd", "-niB", USER], input=PASSWORD, capture_output=True, text=True, check=True)
    (folder / "htpasswd").write_text(hashed.stdout)
    return {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}


@contextmanager
def serving(registry: Front) -> Generator[None]:
    with registry:
        threading.Thread(target=registry.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield
        registry.shutdown()
