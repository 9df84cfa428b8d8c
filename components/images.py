"""The two images of `images/`: which base and which lock each is built with."""

from components.image_build import ImageBuildArgs
from components.versions import RAY
from planning.settings import Hardware, Image

PYTHON = "library/python:3.11-bookworm"
RAY_ON_CPUS = f"rayproject/ray:{RAY}-py311-cpu"
RAY_ON_GPUS = f"rayproject/ray:{RAY}-py312-cu130"


def fetch_image(image: Image) -> ImageBuildArgs:
    """Return what the small image of the download, of supervisor and gate is built of."""
    return ImageBuildArgs(
        folder="fetch",
        build_args={"BASE": f"{image.mirror}/{PYTHON}"},
        settings=image,
        reference=image.fetch_reference,
    )


def serving_image(image: Image, hardware: Hardware) -> ImageBuildArgs:
    """Return what the image of the Ray pods is built of: the Ray image, and the lock for its Python and platform."""
    ray, lock = (RAY_ON_GPUS, "cuda") if hardware.on_gpus else (RAY_ON_CPUS, "cpu")
    return ImageBuildArgs(
        folder="ray-vllm",
        build_args={"BASE": image.base or f"{image.mirror}/{ray}", "REQUIREMENTS": f"requirements-{lock}.txt"},
        settings=image,
        reference=image.reference,
    )
