"""The Go programs of the embedded cluster and of its Pulumi runs, and whether a fitting one is installed already."""

import functools
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import grpc

from local import versions

VERSION_QUERY_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class Program:
    """One program: the package it is built from and which installed versions may stand in for it."""

    name: str
    module: str
    """The folder in `local/go` whose go.mod pins the package."""
    package: str
    fitting: tuple[str, str] | None = None
    """The versions that fit: from the first on, below the second. None: the program is never taken from PATH."""
    version_arguments: tuple[str, ...] = ("--version",)
    plugin: bool = False
    """Whether it is a plugin of Pulumi's. A plugin tells its version by gRPC only."""


def _kubernetes(name: str) -> Program:
    package = f"k8s.io/kubernetes/cmd/{name}"
    return Program(name=name, module="cluster", package=package, fitting=versions.FITTING_KUBERNETES)


# buildkitd and buildctl go into an image, ray-operator does not tell its version, and kube-router must be the version
# that was tried with this kernel and iptables: these are always built.
CLUSTER_PROGRAMS = (
    _kubernetes("kube-apiserver"),
    _kubernetes("kube-controller-manager"),
    _kubernetes("kube-scheduler"),
    _kubernetes("kube-proxy"),
    _kubernetes("kubelet"),
    Program(
        name="kubectl",
        module="cluster",
        package="k8s.io/kubernetes/cmd/kubectl",
        fitting=versions.FITTING_KUBECTL,
        version_arguments=("version", "--client"),
    ),
    Program(
        name="coredns",
        module="cluster",
        package="github.com/coredns/coredns",
        fitting=versions.FITTING_COREDNS,
        version_arguments=("-version",),
    ),
    Program(name="ray-operator", module="cluster", package="github.com/ray-project/kuberay/ray-operator"),
    Program(name="buildkitd", module="cluster", package="github.com/moby/buildkit/cmd/buildkitd"),
    Program(name="buildctl", module="cluster", package="github.com/moby/buildkit/cmd/buildctl"),
)
PULUMI_PROGRAMS = (
    Program(
        name="pulumi",
        module="cluster",
        package="github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
        fitting=versions.FITTING_PULUMI,
        version_arguments=("version",),
    ),
    Program(
        name="pulumi-resource-kubernetes",
        module="cluster",
        package="./pulumi-resource-kubernetes",
        fitting=versions.FITTING_PULUMI_KUBERNETES,
        plugin=True,
    ),
)
SIMULATION_PROGRAMS = (
    Program(name="kwok", module="kwok", package="sigs.k8s.io/kwok/cmd/kwok", fitting=versions.FITTING_KWOK),
)
LINT_PROGRAMS = (
    Program(name="actionlint", module="lint", package="github.com/rhysd/actionlint/cmd/actionlint"),
    Program(name="kube-score", module="lint", package="github.com/zegl/kube-score/cmd/kube-score"),
)
FIREWALL_PROGRAMS = (
    Program(
        name="kube-router",
        module="kube-router",
        package="github.com/cloudnativelabs/kube-router/v2/cmd/kube-router",
    ),
)
FOR_THE_REAL_NODE = (*CLUSTER_PROGRAMS, *FIREWALL_PROGRAMS, *PULUMI_PROGRAMS)
FOR_SIMULATED_NODES = (*CLUSTER_PROGRAMS, *PULUMI_PROGRAMS, *SIMULATION_PROGRAMS)
BY_NAME = {program.name: program for program in (*FOR_THE_REAL_NODE, *SIMULATION_PROGRAMS, *LINT_PROGRAMS)}


def parse_version(output: str) -> tuple[int, ...] | None:
    """The first version number in what a program prints about itself: `Kubernetes v1.35.4` is (1, 35, 4)."""
    found = re.search(r"\d+(?:\.\d+)+", output)
    return _numbers(found[0]) if found else None


def is_fitting(version: tuple[int, ...], fitting: tuple[str, str]) -> bool:
    """Whether a version is at least the first of `fitting` and below the second."""
    least, below = fitting
    return _numbers(least) <= version < _numbers(below)


@functools.cache
def find_installed(program: Program) -> Path | None:
    """The program on PATH if its version fits; None if it is absent, does not fit or does not tell its version."""
    found = shutil.which(program.name)
    if found is None or program.fitting is None:
        return None
    try:
        said = _ask_plugin(found) if program.plugin else _ask([found, *program.version_arguments])
    except (OSError, subprocess.TimeoutExpired, grpc.RpcError):
        return None
    version = parse_version(said)
    return Path(found) if version and is_fitting(version, program.fitting) else None


def _ask(query: list[str]) -> str:
    return subprocess.run(query, capture_output=True, text=True, check=False, timeout=VERSION_QUERY_SECONDS).stdout


def _ask_plugin(plugin: str) -> str:
    """What a plugin answers to GetPluginInfo (pulumi/sdk, proto/pulumi/provider.proto): its version is all there is."""
    with subprocess.Popen([plugin], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            port = process.stdout.readline().strip() if process.stdout else ""
            with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
                get_info = cast("Any", channel.unary_unary("/pulumirpc.ResourceProvider/GetPluginInfo"))
                return bytes(get_info(b"", timeout=VERSION_QUERY_SECONDS)).decode()
        finally:
            process.kill()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split("."))
