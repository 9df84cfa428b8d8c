from pathlib import Path

import pytest

from local import paths, versions
from local.building import programs
from local.building.programs import Program, find_installed, is_fitting, parse_version

FITTING = ("1.30", "2")


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ("Kubernetes v1.35.4\n", (1, 35, 4)),
        ("Client Version: v1.32.4\nKustomize Version: v5.5.0\n", (1, 32, 4)),
        ("CoreDNS-1.15.0\nlinux/amd64, go1.26.8, \n", (1, 15, 0)),
        ("kwok version v0.8.0 go1.26.8 (linux/amd64)\n", (0, 8, 0)),
        ("v3.215.0\n", (3, 215, 0)),
        ("unknown flag\n", None),
    ],
)
def test_a_version_is_found_in_what_a_program_prints(output: str, version: tuple[int, ...] | None) -> None:
    assert parse_version(output) == version


@pytest.mark.parametrize(
    ("version", "fits"), [((1, 29, 9), False), ((1, 30, 0), True), ((1, 100, 0), True), ((2, 0, 0), False)]
)
def test_a_version_fits_from_the_first_up_to_below_the_second(version: tuple[int, ...], *, fits: bool) -> None:
    assert is_fitting(version, FITTING) is fits


def install(folder: Path, name: str, script: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    find_installed.cache_clear()
    return program


def test_an_installed_program_of_a_fitting_version_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = install(tmp_path, "tool", 'test "$1" = --version && echo tool 1.31.0', monkeypatch)
    assert find_installed(Program(name="tool", module="cluster", package="x", fitting=FITTING)) == installed


@pytest.mark.parametrize("script", ["echo tool 1.29.0", "echo no version", "exit 1"])
def test_an_installed_program_of_another_version_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    install(tmp_path, "tool", script, monkeypatch)
    assert find_installed(Program(name="tool", module="cluster", package="x", fitting=FITTING)) is None


def test_a_program_that_goes_into_an_image_is_never_taken_from_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "buildkitd", f"echo {versions.BUILDKIT}", monkeypatch)
    assert find_installed(programs.BY_NAME["buildkitd"]) is None


@pytest.mark.parametrize(
    ("module", "go_module", "version"),
    [
        ("cluster", "k8s.io/kubernetes", f"v{versions.KUBERNETES}"),
        ("cluster", "github.com/ray-project/kuberay/ray-operator", f"v{versions.KUBERAY}"),
        ("cluster", "github.com/coredns/coredns", f"v{versions.COREDNS}"),
        ("cluster", "github.com/moby/buildkit", f"v{versions.BUILDKIT}"),
        ("cluster", "github.com/pulumi/pulumi/pkg/v3", f"v{versions.PULUMI}"),
        ("cluster", "github.com/pulumi/pulumi-kubernetes/provider/v4", versions.PULUMI_KUBERNETES_MODULE),
        ("kube-router", "github.com/cloudnativelabs/kube-router/v2", f"v{versions.KUBE_ROUTER}"),
        ("kwok", "sigs.k8s.io/kwok", f"v{versions.KWOK}"),
    ],
)
def test_the_list_of_versions_is_what_go_mod_pins(module: str, go_module: str, version: str) -> None:
    lines = (paths.GO_MODULES / module / "go.mod").read_text().splitlines()
    required = [line.removeprefix("require ").split("//")[0].split() for line in lines]
    assert [go_module, version] in required


@pytest.mark.parametrize("program", programs.BY_NAME.values(), ids=lambda program: program.name)
def test_every_program_is_in_its_module(program: Program) -> None:
    module = paths.GO_MODULES / program.module
    if program.package.startswith("./"):
        assert (module / program.package / "main.go").exists()
    else:
        assert program.package in (module / "go.mod").read_text().replace("tool ", "").split()
