"""Makes the image that stands in for HAProxy's public one, under the same name: a minimal Debian with its HAProxy."""

import hashlib
from pathlib import Path

from local import paths, versions
from local.images import debian_root, oci
from local.steps import StepLog
from planning.settings.sections.endpoint import PROXY

NAME, TAG = PROXY.split(":")
HAPROXY = (NAME, TAG)
PACKAGES = ("haproxy",)
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def make_proxy_image(registry: oci.Registry, log: StepLog) -> str:
    """Make and push the image. Raises CommandFailed, RegistryRefused."""
    if registry.content_key(*HAPROXY) == proxy_key():
        return "already there"
    work = paths.CACHE / "proxy-image"
    debian_root.remove_root(work, log)
    work.mkdir(parents=True)
    debian_root.make_root(work / "root", PACKAGES, log)
    debian_root.pack(work / "root", work / "layer.tar", log)
    layer = oci.Layer.measure(work / "layer.tar")
    environment = {"PATH": SYSTEM_PATH}
    image = oci.Image(layers=(layer,), content_key=proxy_key(), environment=environment, command=("haproxy", "-v"))
    registry.push(*HAPROXY, image)
    debian_root.remove_root(work, log)
    return f"pushed {':'.join(HAPROXY)}"


def proxy_key() -> str:
    """Hash of what the image is made from, the programs that make it included."""
    recipe = (Path(source).read_text() for source in (__file__, debian_root.__file__))
    return hashlib.sha256("\0".join((versions.DEBIAN_RELEASE, *recipe)).encode()).hexdigest()
