"""Container images made of plain tar files: described (OCI image specification 1.0) and pushed to a registry.

Layers are not compressed: on one machine packing costs more time than the disk is worth.
"""

import base64
import hashlib
import http.client
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
CONTENT_KEY = "deepseek-on-kubernetes/content-key"
"""Annotation with a hash of what the image was made from; an image whose key is still right is not made again."""
TIMEOUT_SECONDS = 120
BLOCK_BYTES = 2**20


class RegistryRefused(Exception):
    """The registry answered something else than the protocol foresees; the text has request, status and answer."""


class _Answer(NamedTuple):
    status: int
    location: str
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One tar file of a root file system, to be uploaded or in a repository of the same registry already."""

    digest: str
    size: int
    source: Path | str
    """The file, or the name of the repository."""

    @classmethod
    def measure(cls, path: Path) -> "Layer":
        """Read the file once for its digest."""
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(digest=f"sha256:{digest}", size=path.stat().st_size, source=path)

    @property
    def descriptor(self) -> dict[str, Any]:
        """How a manifest refers to it."""
        return {"mediaType": LAYER_TYPE, "digest": self.digest, "size": self.size}


@dataclass(frozen=True, kw_only=True)
class Image:
    """What a container made from the layers, lowest first, runs by default."""

    layers: tuple[Layer, ...]
    content_key: str
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    user: str = "0"
    working_directory: str = "/"

    def config(self) -> bytes:
        """The image configuration."""
        run = {
            "Env": [f"{name}={value}" for name, value in self.environment.items()],
            "Entrypoint": self.entrypoint,
            "Cmd": self.command,
            "User": self.user,
            "WorkingDir": self.working_directory,
        }
        layers = {"type": "layers", "diff_ids": [layer.digest for layer in self.layers]}
        return _to_json({"architecture": "amd64", "os": "linux", "config": run, "rootfs": layers})

    def manifest(self) -> bytes:
        """The manifest; its digest is the image's."""
        config = self.config()
        return _to_json(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": {"mediaType": CONFIG_TYPE, "digest": digest_of(config), "size": len(config)},
                "layers": [layer.descriptor for layer in self.layers],
                "annotations": {CONTENT_KEY: self.content_key},
            }
        )


@dataclass(frozen=True, kw_only=True)
class Registry:
    """A registry on plain HTTP that asks for a password."""

    address: str
    """host:port."""
    user: str
    password: str = field(repr=False)

    def content_key(self, name: str, tag: str) -> str | None:
        """The content key of an image, None if the image does not exist or has no content key."""
        manifest = self._manifest(name, tag)
        return manifest.get("annotations", {}).get(CONTENT_KEY) if manifest else None

    def layers(self, name: str, tag: str) -> tuple[Layer, ...]:
        """The layers of an image, for another image to stand on. Raises RegistryRefused if there is no such image."""
        manifest = self._manifest(name, tag)
        if manifest is None:
            raise RegistryRefused(f"{self.address} has no image {name}:{tag}")
        return tuple(Layer(digest=layer["digest"], size=layer["size"], source=name) for layer in manifest["layers"])

    def push(self, name: str, tag: str, image: Image) -> None:
        """Upload what is not there yet, the manifest last. Raises RegistryRefused."""
        for layer in image.layers:
            if isinstance(layer.source, str):
                self._mount_blob(name, layer.digest, layer.source)
            else:
                with layer.source.open("rb") as file:
                    self._push_blob(name, layer.digest, file, layer.size)
        config = image.config()
        self._push_blob(name, digest_of(config), io.BytesIO(config), len(config))
        path = f"/v2/{name}/manifests/{tag}"
        manifest = image.manifest()
        headers = {"Content-Type": MANIFEST_TYPE, "Content-Length": str(len(manifest))}
        self._request("PUT", path, HTTPStatus.CREATED, headers=headers, body=io.BytesIO(manifest))

    def _manifest(self, name: str, tag: str) -> dict[str, Any] | None:
        path = f"/v2/{name}/manifests/{tag}"
        headers = {"Accept": MANIFEST_TYPE}
        answer = self._request("GET", path, HTTPStatus.OK, HTTPStatus.NOT_FOUND, headers=headers)
        return json.loads(answer.body) if answer.status == HTTPStatus.OK else None

    def _push_blob(self, name: str, digest: str, content: io.BufferedIOBase, size: int) -> None:
        there = self._request("HEAD", f"/v2/{name}/blobs/{digest}", HTTPStatus.OK, HTTPStatus.NOT_FOUND)
        if there.status == HTTPStatus.OK:
            return
        upload = urlsplit(self._request("POST", f"/v2/{name}/blobs/uploads/", HTTPStatus.ACCEPTED).location)
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        path = f"{upload.path}?{upload.query}&digest={digest}"
        self._request("PUT", path, HTTPStatus.CREATED, headers=headers, body=content)

    def _mount_blob(self, name: str, digest: str, source: str) -> None:
        """Let a blob of one repository stand in another as well."""
        self._request("POST", f"/v2/{name}/blobs/uploads/?mount={digest}&from={source}", HTTPStatus.CREATED)

    def _request(
        self,
        method: str,
        path: str,
        *expected: HTTPStatus,
        headers: Mapping[str, str] | None = None,
        body: io.BufferedIOBase | None = None,
    ) -> _Answer:
        secret = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        connection = http.client.HTTPConnection(self.address, timeout=TIMEOUT_SECONDS, blocksize=BLOCK_BYTES)
        try:
            connection.request(method, path, body, {"Authorization": f"Basic {secret}", **(headers or {})})
            response = connection.getresponse()
            answer = _Answer(response.status, response.getheader("Location", ""), response.read())
        finally:
            connection.close()
        if answer.status not in expected:
            said = answer.body.decode(errors="replace").strip()
            raise RegistryRefused(f"{self.address} answered {method} {path} with {answer.status}: {said}")
        return answer


def digest_of(content: bytes) -> str:
    """How manifests name content."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _to_json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
