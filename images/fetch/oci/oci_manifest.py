"""The files of an artifact, as its manifest says: one layer a file.

A layer's name is in its annotation `org.opencontainers.image.title`, as ORAS writes it, or in
`org.cncf.model.filepath`, as ModelPack and KitOps do. Sources: "OCI Image Manifest Specification" 1.1, the ORAS page
"OCI artifacts", and the CNCF ModelPack specification.
"""

import json
import re
from typing import Any, cast

from failure import Failed
from inventory import ModelFile

MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
"""Media types that a registry may answer with. An index is asked for too, because its refusal says what to do."""

MOST_BYTES = 4 << 20
"""Of a manifest: what registries must take (OCI Distribution Specification 1.1, "Pushing Manifests")."""

NAMES = ("org.opencontainers.image.title", "org.cncf.model.filepath")
UNPACKED = "io.deis.oras.content.unpack"
"""ORAS sets it to "true" for a folder, which it pushes as an archive."""

COMPRESSED = re.compile(r"(gzip|zstd)$")
ARCHIVE_OF_A_MODEL = re.compile(r"^application/vnd\.(cncf\.model|kitops\.).*tar$")
"""Such a layer is an archive. ORAS gives every file without a type of its own a media type that ends with `tar`."""

DIGEST = re.compile(r"sha256:([0-9a-f]{64})")

PUSH = "push each file as a layer of its own, such as by `oras push REFERENCE FILE…` in the model's folder"


def read(content: bytes, place: str) -> tuple[ModelFile, ...]:
    """Return the files of a manifest, sizes in bytes. Raises Failed for what is no artifact of plain files.

    Raises ValueError for what is no manifest at all.
    """
    manifest: object = json.loads(content)
    if not isinstance(manifest, dict):
        raise ValueError("it is no object")  # noqa: TRY004 - what json.loads raises, too
    document = cast("dict[str, Any]", manifest)
    if "manifests" in document:
        raise Failed(
            f"{place} is an index of several artifacts: set deepseek:model.revision to the digest of the one that has "
            "the model's files."
        )
    layers = document.get("layers")
    if not isinstance(layers, list):
        raise ValueError("it has no layers")  # noqa: TRY004
    files: dict[str, ModelFile] = {}
    for number, layer in enumerate(cast("list[Any]", layers), 1):
        file = _file(layer, f"Layer {number} of {place}")
        if files.setdefault(file.path, file) != file:
            raise Failed(f"{place} has two layers of the name {file.path!r} with different digests: {PUSH}.")
    return tuple(files.values())


def _file(layer: object, which: str) -> ModelFile:
    if not isinstance(layer, dict):
        raise ValueError(f"{which} is no object")  # noqa: TRY004
    descriptor = cast("dict[str, Any]", layer)
    size, kind = descriptor.get("size"), str(descriptor.get("mediaType"))
    annotations = cast("dict[str, object]", descriptor.get("annotations") or {})
    name = next((annotations[key] for key in NAMES if annotations.get(key)), None)
    if not isinstance(name, str):
        raise Failed(f"{which} ({kind}) has no name, in none of the annotations {', '.join(NAMES)}: {PUSH}.")
    if annotations.get(UNPACKED) == "true" or COMPRESSED.search(kind) or ARCHIVE_OF_A_MODEL.search(kind):
        raise Failed(f"{which}, {name!r}, is an archive ({kind}), whose files have no digests: {PUSH}.")
    digest = DIGEST.fullmatch(str(descriptor.get("digest")))
    if not digest:
        raise Failed(f"{which}, {name!r}, has the digest {descriptor.get('digest')}, and only SHA-256 is read: {PUSH}.")
    if not isinstance(size, int) or size < 0:
        raise Failed(f"{which}, {name!r}, has the size {size}, which is no number of bytes: {PUSH}.")
    return ModelFile(name, size, "", digest[1])
