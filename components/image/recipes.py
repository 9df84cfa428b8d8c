"""The two images of `images/`: which base, which files and which lock each is built from."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from components.shared.versions import BUILDKIT, RAY
from planning import builds
from planning.settings.sections import Hardware, Image

FETCH_LOCK = "requirements.txt"
PYTHON = "library/python:3.11-bookworm"
RAY_ON_CPUS = f"rayproject/ray:{RAY}-py311-cpu"
RAY_ON_GPUS = f"rayproject/ray:{RAY}-py312-cu130"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that decides what is in an image, and with it the image's tag."""

    folder: str
    """Folder below images/ with the Dockerfile; also the image's name in the registry."""

    sources: tuple[str, ...] = ()
    """Files and folders in it, beside the Dockerfile, that go into this image."""

    base: str
    """The Dockerfile's argument BASE. It may have a digest."""

    lock: str | None = None
    """The file among the sources that pins the image's Python packages."""

    build_args: Mapping[str, str] = field(default_factory=dict[str, str])
    """The Dockerfile's other arguments."""

    rebuild: str | None = None
    """A text that the person changes to have the image built again."""

    finished: str | None = None
    """A finished image to use in place of a build."""

    storage: str
    """What the build takes of its node's disk."""


def fetch_image(image: Image) -> Recipe:
    """Return what the small image of the download, of supervisor and gate is built from."""
    return Recipe(
        folder="fetch",
        sources=(FETCH_LOCK,),
        lock=FETCH_LOCK,
        base=image.fetch_base or f"{image.mirror}/{PYTHON}",
        rebuild=image.rebuild,
        finished=image.fetch_reference,
        storage=builds.FETCH_STORAGE,
    )


def serving_image(image: Image, hardware: Hardware) -> Recipe:
    """Return what the image of the Ray pods is built from: the Ray image, and the lock for its Python and platform."""
    ray, lock = (RAY_ON_GPUS, "requirements-cuda.txt") if hardware.on_gpus else (RAY_ON_CPUS, "requirements-cpu.txt")
    return Recipe(
        folder="ray-vllm",
        sources=(lock, "stage-weights") if hardware.on_gpus else (lock, "stage-weights", "cpu-platform"),
        lock=lock,
        base=image.base or f"{image.mirror}/{ray}",
        build_args={"REQUIREMENTS": lock},
        rebuild=image.rebuild,
        finished=image.reference,
        storage=builds.serving_storage(hardware),
    )


def buildkit_image(image: Image) -> str:
    """Return the image that runs the builds."""
    return image.buildkit or f"{image.mirror}/moby/buildkit:v{BUILDKIT}"
