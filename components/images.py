"""Which base and which lock each image of `images/` is built with."""

from components.versions import RAY
from planning.settings import Hardware, Image

PYTHON = "library/python:3.11-bookworm"
RAY_ON_CPUS = f"rayproject/ray:{RAY}-py311-cpu"
RAY_ON_GPUS = f"rayproject/ray:{RAY}-py312-cu130"


def fetch_build_args(image: Image) -> dict[str, str]:
    """Return the arguments of images/fetch/Dockerfile."""
    return {"BASE": f"{image.mirror}/{PYTHON}"}


def serving_build_args(image: Image, hardware: Hardware) -> dict[str, str]:
    """Return the arguments of images/ray-vllm/Dockerfile: the Ray image and the lock for its Python and platform."""
    ray, lock = (RAY_ON_GPUS, "cuda") if hardware.on_gpus else (RAY_ON_CPUS, "cpu")
    return {"BASE": image.base or f"{image.mirror}/{ray}", "REQUIREMENTS": f"requirements-{lock}.txt"}
