"""Builds the Go programs that are not installed, from the pinned modules in `local/go`, into the cache.

What a module gives lies in a folder named by a hash of all that decides it. The Go version is no part of that: go.mod
names the oldest that will do, and a newer compiler is no reason to build for twenty minutes again.
"""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from local import paths, versions
from local.building.programs import (
    BY_NAME,
    CLUSTER_PROGRAMS,
    FIREWALL_PROGRAMS,
    PULUMI_PROGRAMS,
    SIMULATION_PROGRAMS,
    Program,
    find_installed,
)
from local.steps import Step, StepLog

_STRINGS = {
    "k8s.io/component-base/version.gitVersion": f"v{versions.KUBERNETES}",
    "k8s.io/component-base/version.gitMajor": versions.KUBERNETES.split(".")[0],
    "k8s.io/component-base/version.gitMinor": versions.KUBERNETES.split(".")[1],
    "sigs.k8s.io/kwok/pkg/consts.Version": f"v{versions.KWOK}",
    "github.com/moby/buildkit/version.Version": f"v{versions.BUILDKIT}",
    "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": f"v{versions.PULUMI}",
    "github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version.Version": f"v{versions.PULUMI_KUBERNETES}",
}
LINK_FLAGS = " ".join(["-s", "-w", *(f"-X {variable}={value}" for variable, value in _STRINGS.items())])
BUILD_FLAGS = ("-trimpath", "-mod=readonly", "-buildvcs=false", "-ldflags", LINK_FLAGS)

PROVIDER_MODULE = "github.com/pulumi/pulumi-kubernetes/provider/v4"
PROVIDER_FILES = ("schema.json", "terraform-mapping.json")
"""What the provider embeds: its module has them in cmd/pulumi-resource-kubernetes, our main expects them beside it."""

GROUPS: dict[str, tuple[Program, ...]] = {
    "build the cluster's programs": CLUSTER_PROGRAMS,
    "build the firewall of pods": FIREWALL_PROGRAMS,
    "build pulumi and its provider": PULUMI_PROGRAMS,
    "build the simulated nodes' program": SIMULATION_PROGRAMS,
}
"""What one step builds, in the order of the steps."""

DATA = {
    "gateway-crds": ("cluster", "sigs.k8s.io/gateway-api", "config/crd/standard"),
    "kuberay-crds": ("cluster", "github.com/ray-project/kuberay/ray-operator", "config/crd/bases"),
    "kwok-stages": ("kwok", "sigs.k8s.io/kwok", "kustomize/stage"),
}
"""Folders of modules that are kept beside the programs: name, then our module, the Go module, the folder in it."""


class NotBuilt(Exception):
    """A program or data folder is asked for before the step that makes it was done."""


def program(name: str) -> Path:
    """The program to run: the installed one if it fits, else the built one. Raises NotBuilt if there is neither."""
    wanted = BY_NAME[name]
    found = find_installed(wanted) or _built(wanted)
    if not found.exists():
        target = "lint" if wanted.module == "lint" else "dev"
        raise NotBuilt(f"{name} is neither on PATH in a fitting version nor built: `make {target}` builds it")
    return found


def data(name: str) -> Path:
    """A folder of `DATA`. Raises NotBuilt if its module's programs have not been built."""
    folder = module_folder(DATA[name][0]) / name
    if not folder.exists():
        raise NotBuilt(f"{name} is not there: it comes with the programs of local/go/{DATA[name][0]}, not built yet")
    return folder


def search_path() -> str:
    """PATH with the built programs before it, so that Pulumi's engine finds the provider."""
    folders = [str(module_folder(module)) for module in sorted({program.module for program in BY_NAME.values()})]
    return os.pathsep.join([*folders, os.environ["PATH"]])


def missing(programs: Iterable[Program]) -> list[Program]:
    """Those that are neither installed in a fitting version nor built."""
    return [program for program in programs if not (find_installed(program) or _built(program).exists())]


def complete(programs: Iterable[Program]) -> bool:
    """Whether none is missing, nor a folder of `DATA` that comes with them."""
    wanted = tuple(programs)
    modules = {program.module for program in wanted}
    folders = [module_folder(module) / name for name, (module, *_) in DATA.items() if module in modules]
    return not missing(wanted) and all(folder.exists() for folder in folders)


def build_steps(wanted: Sequence[Program]) -> list[Step]:
    """The steps that build what is missing, one after the other on one build cache, which goes at the end."""
    steps: list[Step] = []
    for name, programs in GROUPS.items():
        if not set(programs) <= set(wanted):
            continue
        needs = (steps[-1].name,) if steps else ()
        steps.append(Step(name=name, action=lambda log, programs=programs: build(programs, log), needs=needs))
    steps.append(Step(name="drop the Go build cache", action=drop_build_cache, needs=(steps[-1].name,)))
    return steps


def build(programs: Sequence[Program], log: StepLog) -> str:
    """Build those of one module that are missing, and copy its `DATA`. Raises CommandFailed if `go` does.

    A build that was cut off goes on from what is in the build cache.
    """
    (module,) = {program.module for program in programs}
    folder = module_folder(module)
    folder.mkdir(parents=True, exist_ok=True)
    _copy_data(module, log)
    to_build = missing(programs)
    if not to_build:
        return "already there"
    unfinished = folder / "unfinished"
    unfinished.mkdir(exist_ok=True)
    command = ["go", "build", *BUILD_FLAGS, "-overlay", _write_overlay(module, log), "-o", f"{unfinished}/"]
    packages = [program.package for program in to_build]
    log.run([*command, *packages], cwd=paths.GO_MODULES / module, environment=_go_environment())
    for built in to_build:
        (unfinished / built.name).rename(_built(built))
    shutil.rmtree(unfinished)
    return "built " + " ".join(program.name for program in to_build)


def drop_build_cache(_log: StepLog) -> str:
    """Remove Go's build cache of 7 GB; one that the environment names in GOCACHE is somebody's own and stays."""
    if not paths.GO_BUILD_CACHE.exists():
        return "nothing to drop"
    shutil.rmtree(paths.GO_BUILD_CACHE)
    return "dropped"


def module_folder(module: str) -> Path:
    """Where the programs of a folder of `local/go` go."""
    source = paths.GO_MODULES / module
    files = sorted(path for path in source.rglob("*") if path.is_file())
    key = hashlib.sha256(repr(BUILD_FLAGS).encode())
    for file in files:
        key.update(f"{file.relative_to(source)}\n".encode() + file.read_bytes())
    return paths.PROGRAMS / f"{module}-{key.hexdigest()[:12]}"


def _built(program: Program) -> Path:
    return module_folder(program.module) / program.name


def _go_environment() -> dict[str, str]:
    paths.GO_BUILD_CACHE.mkdir(parents=True, exist_ok=True)
    ours = {"CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "", "GOTMPDIR": str(paths.GO_BUILD_CACHE)}
    return {"GOCACHE": str(paths.GO_BUILD_CACHE), **os.environ, **ours}


def _write_overlay(module: str, log: StepLog) -> Path:
    """Let the provider's files appear beside our main without copying them into the checkout (`go help build`)."""
    overlay = paths.GO_BUILD_CACHE / f"{module}-overlay.json"
    replace: dict[str, str] = {}
    if module == BY_NAME["pulumi-resource-kubernetes"].module:
        main = paths.GO_MODULES / module / "pulumi-resource-kubernetes"
        source = _download(PROVIDER_MODULE, module, log) / "cmd" / "pulumi-resource-kubernetes"
        replace = {str(main / name): str(source / name) for name in PROVIDER_FILES}
    overlay.parent.mkdir(parents=True, exist_ok=True)
    overlay.write_text(json.dumps({"Replace": replace}))
    return overlay


def _copy_data(module: str, log: StepLog) -> None:
    for name, (ours, go_module, folder) in DATA.items():
        target = module_folder(module) / name
        if ours == module and not target.exists():
            unfinished = target.with_suffix(".unfinished")
            shutil.copytree(_download(go_module, module, log) / folder, unfinished, dirs_exist_ok=True)
            unfinished.rename(target)


def _download(go_module: str, module: str, log: StepLog) -> Path:
    """The folder of a Go module in the module cache, which `go` fills if need be."""
    command = ["go", "mod", "download", "-json", go_module]
    log.say("$ " + " ".join(command))
    environment = _go_environment()
    cwd = paths.GO_MODULES / module
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    answer = json.loads(done.stdout or "{}")
    if "Dir" not in answer:
        log.say(done.stderr)
        raise NotBuilt(f"go mod download {go_module} failed: {answer.get('Error', done.stderr)}")
    return Path(answer["Dir"])
