"""What the keys of deepseek:image must be for images to be built, pushed and pulled."""

import re
from collections.abc import Callable, Iterator, Mapping

from planning import builds
from planning.problems import Problem, fixable
from planning.settings.quantities import bytes_of
from planning.settings.references import faults_of_host, faults_of_name, faults_of_reference
from planning.sizing.resolved import ResolvedStack

ARM_PRODUCTS = re.compile(r"NVIDIA-G[BH][0-9]", re.IGNORECASE)
"""Products that NVIDIA sells with its Grace processors, which are arm64: GB200, GB300, GH200."""

EXAMPLE = "registry.example.com/team"

Judge = Callable[[str], tuple[list[str], str]]


def _images_come_from_somewhere(stack: ResolvedStack) -> Iterator[Problem]:
    """Yield a problem where images are built and there is no registry for them."""
    image = stack.settings.image
    if image.push is None and image.builds:
        unset = [
            key
            for key, value in {"reference": image.reference, "fetchReference": image.fetch_reference}.items()
            if not value
        ]
        yield Problem(
            "image.push",
            "needed for the images that are built, unless image.reference and image.fetchReference name finished ones",
            f"image.push: registry.example.com/team, or {' and '.join(f'image.{key}' for key in unset)}",
        )


def _names_are_those_of_images(stack: ResolvedStack) -> Iterator[Problem]:
    """Yield a problem for each name that BuildKit or a kubelet would refuse, with the name that they take."""
    image = stack.settings.image
    names = {"image.push": image.push, "image.mirror": image.mirror}
    references = {
        "image.reference": image.reference,
        "image.fetchReference": image.fetch_reference,
        "image.base": image.base,
        "image.fetchBase": image.fetch_base,
        "image.buildkit": image.buildkit,
        "endpoint.image": stack.settings.endpoint.image,
    }
    yield from _misnamed(names, faults_of_name, EXAMPLE)
    yield from _misnamed(references, faults_of_reference, f"{EXAMPLE}/image:tag")


def _hosts_are_those_of_registries(stack: ResolvedStack) -> Iterator[Problem]:
    """Yield a problem for hosts of plainHttp that are written as an address or a path."""
    written = stack.settings.image.plain_http
    judged = [faults_of_host(host) for host in written]
    for host, (faults, _) in zip(written, judged, strict=True):
        if faults:
            right = [right for _, right in judged]
            text = f"'{_shown(host)}' {' and '.join(faults)}"
            if all(right):
                yield fixable("image.plainHttp", text, {"image.plainHttp": right})
            else:
                yield Problem("image.plainHttp", text, "image.plainHttp: [registry.example.com:5000]")


def _builds_have_room(stack: ResolvedStack) -> Iterator[Problem]:
    """Yield a problem for bounds below what a build asks for."""
    image = stack.settings.image
    if not image.builds:
        return
    if bytes_of(image.build_memory) < bytes_of(builds.MEMORY):
        text = f"{image.build_memory} is less than the {builds.MEMORY} that a build pod asks for"
        yield fixable("image.buildMemory", text, {"image.buildMemory": None})
    needed = builds.serving_storage(stack.settings.hardware)
    if bytes_of(image.build_storage) < bytes_of(needed):
        text = f"{image.build_storage} is less than the {needed} that the layers of a build take"
        yield fixable("image.buildStorage", text, {"image.buildStorage": None})


def _nodes_run_the_image(stack: ResolvedStack) -> Iterator[Problem]:
    """Yield a problem where the GPU's nodes cannot run the image that would be built."""
    settings = stack.settings
    gpu, image = settings.hardware.gpu, settings.image
    if not ARM_PRODUCTS.match(gpu):
        return
    if image.fetch_reference is None and settings.storage.access_mode == "ReadWriteOnce":
        yield Problem(
            "image.fetchReference",
            f"nodes with {gpu} are arm64; the Jobs that use a ReadWriteOnce claim run there, and their image is built "
            "for x86-64",
            "image.fetchReference with an image of your own for arm64, or storage.accessMode: ReadWriteMany",
        )
    if image.reference is None:
        yield Problem(
            "hardware.gpu",
            f"nodes with {gpu} are arm64, and the lock of the serving image is for x86-64",
            "a GPU of x86-64 nodes, or image.reference with an image of your own for arm64",
        )


def _misnamed(written: Mapping[str, str | None], judge: Judge, example: str) -> Iterator[Problem]:
    for key, value in written.items():
        faults, right = judge(value) if value else ([], "")
        if faults:
            text = f"'{_shown(value or '')}' {' and '.join(faults)}"
            yield fixable(key, text, {key: right}) if right else Problem(key, text, f"{key}: {example}")


def _shown(written: str) -> str:
    """Return a value without what may be a password."""
    return re.sub(r"[^/]*@(?!sha256:)", "…@", written)


IMAGE_CHECKS = (
    _images_come_from_somewhere,
    _names_are_those_of_images,
    _hosts_are_those_of_registries,
    _builds_have_room,
    _nodes_run_the_image,
)
