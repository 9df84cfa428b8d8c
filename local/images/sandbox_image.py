"""The image that holds each pod's namespaces open, imported into containerd so that no registry is needed for it."""

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

NAME = "localhost/sandbox:1"
BUSYBOX = Path("/usr/bin/busybox")
"""Debian's busybox-static: one file with everything in it."""
# It must run for as long as the pod.
COMMAND = ["/busybox", "sleep", "1000000000"]


def ensure(socket: Path) -> bool:
    """Have the image in the containerd that listens on `socket`; says whether it had to be imported."""
    ctr = ["ctr", "--address", str(socket), "--namespace", "k8s.io", "images"]
    listed = subprocess.run([*ctr, "list", "--quiet"], check=True, capture_output=True, text=True).stdout
    if NAME in listed.split():
        return False
    subprocess.run([*ctr, "import", "-"], input=archive(BUSYBOX.read_bytes()), check=True, capture_output=True)
    return True


def archive(busybox: bytes) -> bytes:
    """The image as `docker save` writes one: a layer with one program, its configuration, and a manifest."""
    layer = _tar({"busybox": busybox}, mode=0o755)
    configuration = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": COMMAND},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
    ).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [NAME], "Layers": ["layer.tar"]}]).encode()
    return _tar({"layer.tar": layer, "config.json": configuration, "manifest.json": manifest})


def _tar(files: dict[str, bytes], mode: int = 0o644) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
