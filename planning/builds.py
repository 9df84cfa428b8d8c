"""What a build pod asks of its node."""

from planning.settings.sections import Hardware

LOCK_ARCHITECTURE = "amd64"
"""Value of the node label kubernetes.io/arch. The locks in images/, and so the images, are for this architecture."""

CPU, CPU_LIMIT = "500m", "8"
MEMORY = "1Gi"
"""What pip and BuildKit take at least; `image.buildMemory` is the limit."""

FETCH_STORAGE = "4Gi"


def serving_storage(hardware: Hardware) -> str:
    """Return what base image, packages and packed layers take on the node's disk: estimated from their sizes."""
    return "40Gi" if hardware.on_gpus else "15Gi"
