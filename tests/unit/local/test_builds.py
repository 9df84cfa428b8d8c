import json
from pathlib import Path

import pytest

from local import paths
from local.building import builds, programs
from local.building.programs import Program
from local.steps import CommandFailed, StepLog

# Stands in for `go`: records its arguments, "downloads" to $FAKE_MODULES and builds empty programs.
FAKE_GO = """#!/bin/sh
echo "$@" >> "$FAKE_RECORD"
if [ "$1" = mod ]; then echo "{\\"Dir\\": \\"$FAKE_MODULES\\"}"; exit; fi
[ -z "$FAKE_FAILURE" ] || exit 1
for argument; do
    case $last in -o) out=$argument;; -overlay) cp "$argument" "$FAKE_RECORD.overlay";; esac
    last=$argument
done
for argument; do case $argument in example.com/*) touch "$out$(basename "$argument")";; esac; done
"""
PROGRAMS = (
    Program(name="one", module="cluster", package="example.com/one"),
    Program(name="two", module="cluster", package="example.com/two"),
)


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text(FAKE_GO)
    go.chmod(0o755)
    record = tmp_path / "record"
    record.touch()
    modules = tmp_path / "modules"
    for name in builds.PROVIDER_FILES:
        file = modules / "cmd" / "pulumi-resource-kubernetes" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    (modules / "config" / "crd" / "bases").mkdir(parents=True)
    (modules / "config" / "crd" / "standard").mkdir()
    (modules / "config" / "crd" / "bases" / "rayclusters.yaml").write_text("kind: CustomResourceDefinition")
    monkeypatch.setenv("PATH", f"{go.parent}:/usr/bin:/bin")
    monkeypatch.setenv("FAKE_RECORD", str(record))
    monkeypatch.setenv("FAKE_MODULES", str(modules))
    monkeypatch.setenv("FAKE_FAILURE", "")
    monkeypatch.delenv("GOCACHE", raising=False)
    monkeypatch.setattr(paths, "PROGRAMS", tmp_path / "programs")
    monkeypatch.setattr(paths, "GO_BUILD_CACHE", tmp_path / "go-build")
    programs.find_installed.cache_clear()
    return record


def go_builds(record: Path) -> list[str]:
    return [line for line in record.read_text().splitlines() if line.startswith("build ")]


@pytest.fixture
def log(tmp_path: Path) -> StepLog:
    return StepLog(tmp_path / "step.log")


def test_what_is_missing_is_built_once(record: Path, log: StepLog) -> None:
    assert builds.build(PROGRAMS, log) == "built one two"
    assert builds.build(PROGRAMS, log) == "already there"
    (command,) = go_builds(record)
    assert command.endswith("example.com/one example.com/two")
    assert "-mod=readonly" in command
    assert builds.missing(PROGRAMS) == []


def test_only_what_is_missing_is_built(record: Path, log: StepLog) -> None:
    folder = builds.module_folder("cluster")
    folder.mkdir(parents=True)
    (folder / "one").touch()
    assert builds.build(PROGRAMS, log) == "built two"
    assert go_builds(record)[0].endswith("/ example.com/two")


def test_a_build_that_fails_leaves_nothing_that_looks_finished(
    record: Path, log: StepLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_FAILURE", "1")
    with pytest.raises(CommandFailed, match="`go` ended with status 1"):
        builds.build(PROGRAMS, log)
    assert builds.missing(PROGRAMS) == list(PROGRAMS)
    assert record.exists()


def test_the_providers_files_appear_beside_our_main_without_being_copied(record: Path, log: StepLog) -> None:
    builds.build(PROGRAMS, log)
    replace = json.loads(record.with_name("record.overlay").read_text())["Replace"]
    main = paths.GO_MODULES / "cluster" / "pulumi-resource-kubernetes"
    assert sorted(Path(path).name for path in replace) == sorted(builds.PROVIDER_FILES)
    assert {Path(path).parent for path in replace} == {main}
    assert sorted(path.name for path in main.iterdir()) == ["main.go"], "the checkout must stay as it is"


@pytest.mark.usefixtures("record")
def test_folders_of_modules_are_kept_beside_the_programs(log: StepLog) -> None:
    with pytest.raises(builds.NotBuilt, match="kuberay-crds"):
        builds.data("kuberay-crds")
    builds.build(PROGRAMS, log)
    assert (builds.data("kuberay-crds") / "rayclusters.yaml").exists()
    assert builds.complete(PROGRAMS)
    builds.data("gateway-crds").rmdir()
    assert builds.missing(PROGRAMS) == []
    assert not builds.complete(PROGRAMS)
    builds.build(PROGRAMS, log)
    assert builds.complete(PROGRAMS)


@pytest.mark.usefixtures("record")
def test_it_builds_again_after_the_build_cache_has_gone(log: StepLog) -> None:
    linters = [Program(name="linter", module="lint", package="example.com/linter")]
    assert not paths.GO_BUILD_CACHE.exists()
    assert builds.build(linters, log) == "built linter"


@pytest.mark.usefixtures("record")
def test_the_build_cache_goes_but_not_the_programs(log: StepLog) -> None:
    builds.build(PROGRAMS, log)
    assert builds.drop_build_cache(log) == "dropped"
    assert not paths.GO_BUILD_CACHE.exists()
    assert builds.missing(PROGRAMS) == []


@pytest.mark.usefixtures("record")
def test_a_program_that_is_not_there_is_said_to_be_missing() -> None:
    with pytest.raises(builds.NotBuilt, match="ray-operator is neither on PATH"):
        builds.program("ray-operator")


def test_the_folder_changes_with_what_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "GO_MODULES", tmp_path)
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "go.mod").write_text("require a v1")
    before = builds.module_folder("cluster")
    assert builds.module_folder("cluster") == before
    (tmp_path / "cluster" / "go.mod").write_text("require a v2")
    assert builds.module_folder("cluster") != before


def test_builds_go_one_after_the_other_and_the_cache_goes_last() -> None:
    steps = builds.build_steps(programs.FOR_SIMULATED_NODES)
    assert [step.needs for step in steps[1:]] == [(step.name,) for step in steps[:-1]]
    assert steps[-1].action == builds.drop_build_cache
