"""What must be true of a machine before anything is built on it, all of it said at once."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local import paths
from local.machine import listening

GIB = 2**30
BUILD_DISK_GIB = 45
"""Free space that a first run needs: Go modules and build cache 10, images in registry and containerd 30."""
RUN_DISK_GIB = 12
"""Free space that a run needs when programs and images are there already: the pods' own files and the logs."""
MEMORY_GIB = 14
GO = (1, 26)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What was found on this machine."""

    root: bool
    debian: bool
    go_version: str
    """As `go version` prints it; empty if there is no Go."""
    python: tuple[int, int]
    free_disk_gib: float
    memory_gib: float
    ports_in_use: frozenset[int]


def inspect_machine(*, python: tuple[int, int]) -> Machine:
    """Look at this machine; `python` is the running interpreter's version."""
    meminfo = Path("/proc/meminfo").read_text()
    total_kib = re.search(r"^MemTotal:\s+(\d+) kB", meminfo, re.MULTILINE)
    return Machine(
        root=os.geteuid() == 0,
        debian=Path("/etc/debian_version").exists() and shutil.which("apt-get") is not None,
        go_version=_go_version(),
        python=python,
        free_disk_gib=shutil.disk_usage(_nearest_existing(paths.CACHE)).free / GIB,
        memory_gib=int(total_kib[1]) * 1024 / GIB if total_kib else 0.0,
        ports_in_use=listening.listening_ports(),
    )


def find_problems(machine: Machine, *, ports: Mapping[int, str], to_build: bool) -> list[str]:
    """Everything that would stop `make dev`, a sentence each with what to do; empty if nothing would.

    `ports` are those that must be free, with what for; `to_build` says that programs or images are yet to be made.
    """
    problems: list[str] = []
    if not machine.debian:
        problems.append(
            "This is not Debian (no apt-get): the embedded cluster takes etcd, containerd and runc from it."
        )
    if not machine.root:
        problems.append(
            "Not root: containerd, the kubelet and iptables need it. Run it as root, for example with sudo."
        )
    if machine.python < (3, 11):
        found = ".".join(str(number) for number in machine.python)
        problems.append(
            f"Python is {found}; 3.11 or newer is needed (Debian 12: apt-get install python3 python3-venv)."
        )
    if to_build and not _is_go_fitting(machine.go_version):
        found = f"Go is {machine.go_version}" if machine.go_version else "There is no Go on PATH"
        problems.append(f"{found}; {GO[0]}.{GO[1]} or newer is needed to build Kubernetes and Pulumi.")
    disk = BUILD_DISK_GIB if to_build else RUN_DISK_GIB
    if machine.free_disk_gib < disk:
        free = f"{machine.free_disk_gib:.0f} GiB free on the disk of {paths.CACHE}"
        problems.append(f"Only {free}, {disk} are needed: make room, or set XDG_CACHE_HOME to a larger disk.")
    if machine.memory_gib < MEMORY_GIB:
        problems.append(f"Only {machine.memory_gib:.0f} GiB of memory; {MEMORY_GIB} are needed to build and to serve.")
    problems += [
        f"Port {port} is in use; {purpose} needs it. Find its owner with `ss -ltnp 'sport = :{port}'` and stop it."
        for port, purpose in sorted(ports.items())
        if port in machine.ports_in_use
    ]
    return problems


def _is_go_fitting(version: str) -> bool:
    numbers = re.search(r"go(\d+)\.(\d+)", version)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) >= GO


def _go_version() -> str:
    if shutil.which("go") is None:
        return ""
    return subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True, check=False).stdout.strip()


def _nearest_existing(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.parents) if parent.exists())
