"""Which edit changes the tag of which image: a changed tag of the serving image restarts every GPU."""

import shutil
from pathlib import Path

import pytest

from components.image.image_build import tag
from components.image.recipes import Recipe, fetch_image, serving_image
from components.shared import content
from planning.settings.sections import Hardware, Image

IMAGES = content.IMAGES
GOES_INTO = {
    "fetch/Dockerfile": {"fetch"},
    "fetch/requirements.txt": {"fetch"},
    "ray-vllm/Dockerfile": {"cpu", "cuda"},
    "ray-vllm/cpu-platform/cpu_between_pods.py": {"cpu"},
    "ray-vllm/cpu-platform/cpu_on_ray.py": {"cpu"},
    "ray-vllm/cpu-platform/pyproject.toml": {"cpu"},
    "ray-vllm/cpu-platform/uneven_collectives.py": {"cpu"},
    "ray-vllm/requirements-cpu.txt": {"cpu"},
    "ray-vllm/requirements-cuda.txt": {"cuda"},
    "ray-vllm/stage-weights/pyproject.toml": {"cpu", "cuda"},
    "ray-vllm/stage-weights/stage_weights.py": {"cpu", "cuda"},
    "ray-vllm/stage-weights/weights_read_ahead.py": {"cpu", "cuda"},
}
FILES = [str(path.relative_to(IMAGES)) for path in sorted(IMAGES.rglob("*")) if path.is_file()]
EDITED = [name for name in FILES if "__pycache__" not in name]


def recipes(**image: str) -> dict[str, Recipe]:
    settings = Image.model_validate(image)
    gpus, cpus = (
        Hardware.model_validate({"gpu": gpu, "gpusPerNode": 8, "nodes": 4}) for gpu in ("NVIDIA-A100-SXM4-80GB", "none")
    )
    return {
        "fetch": fetch_image(settings),
        "cpu": serving_image(settings, cpus),
        "cuda": serving_image(settings, gpus),
    }


def tags(**image: str) -> dict[str, str]:
    return {name: tag(recipe) for name, recipe in recipes(**image).items()}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(IMAGES, tmp_path_factory.mktemp("checkout") / "images")


def test_the_table_names_files_that_are_there() -> None:
    assert set(GOES_INTO) < set(EDITED)
    assert len(EDITED) > 50


@pytest.mark.parametrize("name", EDITED)
def test_an_edit_changes_the_tags_of_the_images_that_have_the_file(
    name: str, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "IMAGES", copied)
    before = tags()
    kept = (copied / name).read_text()
    (copied / name).write_text(f"{kept}\n")
    assert changed(before, tags()) == GOES_INTO.get(name, set())
    (copied / name).write_text(kept)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"rebuild": "2026-12"}, {"fetch", "cpu", "cuda"}),
        ({"mirror": "mirror.example.com"}, {"fetch", "cpu", "cuda"}),
        ({"base": "docker.io/rayproject/ray:2.60.0-py312-cu130@sha256:" + 64 * "a"}, {"cpu", "cuda"}),
        ({"fetchBase": "docker.io/library/python:3.11-bookworm@sha256:" + 64 * "a"}, {"fetch"}),
        ({"buildkit": "docker.io/moby/buildkit:v0.34.2@sha256:" + 64 * "a"}, set[str]()),
        ({"buildNamespace": "builds"}, set[str]()),
        ({"pushSecret": "registry"}, set[str]()),
        ({"buildMemory": "16Gi"}, set[str]()),
    ],
    ids=lambda value: "-".join(sorted(value)),
)
def test_a_key_changes_the_tags_of_the_images_that_it_decides(keys: dict[str, str], expected: set[str]) -> None:
    assert changed(tags(), tags(**keys)) == expected


def test_another_rebuild_is_another_tag() -> None:
    assert changed(tags(rebuild="2026-11"), tags(rebuild="2026-12")) == {"fetch", "cpu", "cuda"}
