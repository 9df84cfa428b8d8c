"""Names of images and registries as people write them, and what is said of those that no registry takes."""

from typing import Any

import pytest

from planning.parse import parse
from planning.problems import Refused
from planning.settings.references import host_of
from tests.unit.planning.stacks import plan, raw, repaired

DIGEST = "sha256:" + 64 * "a"
NAMES: list[tuple[str, str, str, str]] = [
    ("push", "registry.example.com/Team", "has upper case", "registry.example.com/team"),
    ("push", "Registry.Example.com/team", "has upper case", "registry.example.com/team"),
    ("push", "https://registry.example.com/team", "has a scheme", "registry.example.com/team"),
    ("push", "docker://registry.example.com/team", "has a scheme", "registry.example.com/team"),
    ("push", "registry.example.com/team/", "has a slash too many", "registry.example.com/team"),
    ("push", "HTTP://Registry.example.com//team//", "has a scheme and has a slash", "registry.example.com/team"),
    ("push", "registry.example.com/team:v1", "has a tag", "registry.example.com/team"),
    ("push", f"registry.example.com/team@{DIGEST}", "has a digest", "registry.example.com/team"),
    ("push", "registry.example.com:5000/te am", "is not the name of an image", ""),
    ("mirror", "mirror.example.com/", "has a slash too many", "mirror.example.com"),
    ("mirror", "http://mirror.example.com:5000/", "has a scheme", "mirror.example.com:5000"),
    ("mirror", "mirror.example.com/Hub", "has upper case", "mirror.example.com/hub"),
    ("reference", "https://registry.example.com/ray:1", "has a scheme", "registry.example.com/ray:1"),
    ("reference", "registry.example.com/Ray:1-RC", "has upper case", "registry.example.com/ray:1-RC"),
    ("fetchReference", "registry.example.com/fetch:1/", "has a slash too many", "registry.example.com/fetch:1"),
    ("base", "docker.io/rayproject/ray:2@sha256:abc", "has a digest that is not", ""),
    ("base", "docker.io/rayproject/ray:2+cu130", "has a tag with characters", ""),
    ("fetchBase", "docker.io/library/Python:3.11", "has upper case", "docker.io/library/python:3.11"),
    ("fetchBase", "Python:3.11-Bookworm", "has upper case", "python:3.11-Bookworm"),
    ("push", "registry.example.com:65536/team", "is not the name of an image", ""),
    ("mirror", "registry.example.com:0", "is not the name of an image", ""),
    ("push", "registry.example.com/team ", "has white space around it", "registry.example.com/team"),
    ("push", "registry.example.com/team:", "has a ':' or '@' with nothing", "registry.example.com/team"),
    (
        "base",
        f"registry.example.com/ray:@{DIGEST}",
        "has a ':' or '@' with nothing",
        f"registry.example.com/ray@{DIGEST}",
    ),
    ("reference", "registry.example.com/ray:1@", "has a ':' or '@' with nothing", "registry.example.com/ray:1"),
    ("buildkit", f"https://docker.io/moby/buildkit@{DIGEST}", "has a scheme", f"docker.io/moby/buildkit@{DIGEST}"),
]


@pytest.mark.parametrize(("key", "written", "said", "right"), NAMES, ids=[f"{key} {name}" for key, name, *_ in NAMES])
def test_a_name_that_no_registry_takes_is_refused_with_the_right_one(
    key: str, written: str, said: str, right: str
) -> None:
    changed = {"image": {key: written}}
    [problem] = [problem for problem in plan(**changed).problems if problem.key == f"image.{key}"]
    assert said in problem.text
    assert f"image.{key}: {right}" in problem.suggestion
    if right:
        assert repaired(raw(**changed)).fits


@pytest.mark.parametrize(
    "image",
    [
        {"push": "198.18.0.1:5000/deepseek"},
        {"push": "localhost:5000"},
        {"push": "[2001:db8::1]:5000/deepseek"},
        {"push": "team"},
        {"push": "registry.example.com/a_b/c__d/e--f.g"},
        {"mirror": "mirror.example.com:5000"},
        {"mirror": "mirror.example.com/docker.io"},
        {"base": f"docker.io/rayproject/ray:2.60.0-py312-cu130@{DIGEST}"},
        {"base": f"registry.example.com/ray@{DIGEST}"},
        {"fetchBase": "python:3.11-bookworm"},
        {"fetchBase": f"python:3.11-bookworm@{DIGEST}"},
        {"reference": "vllm:V1"},
        {"buildkit": "registry.example.com:5000/moby/buildkit:v0.34.2"},
        {"reference": "registry.example.com/team/ray-vllm:A.b_c-1"},
        {"plainHttp": ["198.18.0.1:5000", "registry.example.com"]},
    ],
    ids=str,
)
def test_names_that_registries_take_are_taken(image: dict[str, Any]) -> None:
    assert plan(image=image).fits


def test_a_password_in_a_name_is_not_shown() -> None:
    [problem] = plan(image={"push": "https://jane:secret@registry.example.com/team"}).problems
    assert "secret" not in str(problem)


@pytest.mark.parametrize(
    ("written", "right"),
    [
        (["http://198.18.0.1:5000"], "['198.18.0.1:5000']"),
        (["Registry.example.com"], "['registry.example.com']"),
        (["registry.example.com/team"], "['registry.example.com']"),
        (["a.example.com", "b.example.com/"], "['a.example.com', 'b.example.com']"),
        (["no host"], "[registry.example.com:5000]"),
    ],
    ids=str,
)
def test_plain_http_names_hosts(written: list[str], right: str) -> None:
    [problem] = plan(image={"plainHttp": written}).problems
    assert problem.key == "image.plainHttp"
    assert right in problem.suggestion


def test_the_switch_that_plain_http_was_is_refused_with_what_to_write() -> None:
    image = {"push": "198.18.0.1:5000/deepseek", "mirror": "mirror.example.com", "plainHttp": True}
    with pytest.raises(Refused) as refused:
        parse(raw(image=image))
    [problem] = refused.value.problems
    assert problem.key == "image.plainHttp"
    assert "write image.plainHttp: [198.18.0.1:5000, mirror.example.com]" in problem.text


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("registry.example.com/team", "registry.example.com"),
        ("198.18.0.1:5000/deepseek", "198.18.0.1:5000"),
        ("localhost/x", "localhost"),
        ("library/python", "docker.io"),
        ("python:3.11", "docker.io"),
    ],
)
def test_the_host_of_a_name(name: str, host: str) -> None:
    assert host_of(name) == host


@pytest.mark.parametrize("product", ["NVIDIA-GB200", "NVIDIA-GB300", "NVIDIA-GH200-480GB", "nvidia-gh200-144G-HBM3e"])
def test_gpus_of_arm_nodes_are_refused_until_there_is_a_lock(product: str) -> None:
    hardware = {"gpu": product, "gpuMemoryGiB": 180.0, "gpusPerNode": 4, "nodes": 8}
    [problem] = [item for item in plan(hardware=hardware).problems if item.key == "hardware.gpu"]
    assert "arm64" in problem.text
    assert "x86-64" in problem.text
    finished = {"reference": "registry.example.com/ray-vllm:arm64"}
    assert not [item for item in plan(hardware=hardware, image=finished).problems if item.key == "hardware.gpu"]


def test_jobs_that_go_to_an_arm_node_for_its_volume_need_an_image_of_ones_own() -> None:
    hardware = {"gpu": "NVIDIA-GB200", "gpusPerNode": 4, "nodes": 1}
    finished = {"reference": "registry.example.com/ray-vllm:arm64"}
    planned = plan(hardware=hardware, image=finished, storage={"accessMode": "ReadWriteOnce"})
    assert "image.fetchReference" in [problem.key for problem in planned.problems]
    for image, mode in (
        (finished | {"fetchReference": "r.example.com/fetch:arm64"}, "ReadWriteOnce"),
        (finished, "ReadWriteMany"),
    ):
        problems = plan(hardware=hardware, image=image, storage={"accessMode": mode}).problems
        assert "image.fetchReference" not in [problem.key for problem in problems]


@pytest.mark.parametrize("product", ["NVIDIA-B200", "NVIDIA-H200", "NVIDIA-GeForce-RTX-4090"])
def test_gpus_of_x86_nodes_are_not(product: str) -> None:
    hardware = {"gpu": product, "gpuMemoryGiB": 178.0}
    assert not [item for item in plan(hardware=hardware).problems if "arm64" in item.text]


@pytest.mark.parametrize(("key", "written"), [("buildMemory", "512Mi"), ("buildStorage", "10Gi")])
def test_a_bound_below_what_a_build_asks_for_is_refused(key: str, written: str) -> None:
    [problem] = plan(image={key: written}).problems
    assert problem.key == f"image.{key}"
    assert repaired(raw(image={key: written})).fits
