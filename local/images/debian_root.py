"""A Debian root file system in a folder, made by mmdebstrap from this machine's package sources, packed as a layer."""

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from local import versions
from local.steps import StepLog

SUITES = tuple(f"{versions.DEBIAN_RELEASE}{suffix}" for suffix in ("", "-updates", "-security"))
NO_TRANSLATIONS = 'Acquire::Languages "none"'
NOT_PACKED = ("./dev/*", "./etc/resolv.conf", "./run/*")
"""What the container runtime brings itself."""


def make_root(folder: Path, packages: Sequence[str], log: StepLog) -> None:
    """Fill `folder` with a minimal Debian and these packages. Raises CommandFailed if mmdebstrap does."""
    options = [f"--aptopt={option}" for option in (NO_TRANSLATIONS, *apt_options(_output_of("apt-config", "dump")))]
    query = ("apt-get", "indextargets", "--format", "$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(COMPONENT)")
    sources = package_sources(_output_of(*query, "Created-By: Packages"))
    command = ["mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory", *options]
    include = f"--include={','.join(packages)}"
    log.run([*command, include, versions.DEBIAN_RELEASE, folder, *sources])


def package_sources(targets: str) -> list[str]:
    """The sources (maybe a mirror) of the Debian release from `apt-get indextargets`, without other vendors'.

    Empty if this machine is of another release; mmdebstrap then takes Debian's own.
    """
    rows = [line.split("|") for line in targets.splitlines()]
    return sorted(
        {
            f"deb {uri} {suite} main"
            for origin, suite, uri, component in rows
            if origin == "Debian" and suite in SUITES and component == "main"
        }
    )


def apt_options(dump: str) -> list[str]:
    """How this machine's apt reaches its sources (proxies, certificates, date checks), from `apt-config dump`."""
    pattern = r'^Acquire::(?:https?::[\w:.-]+|Check-Date|Check-Valid-Until|Retries) ".+";$'
    return [line.rstrip(";") for line in re.findall(pattern, dump, re.MULTILINE)]


def run_inside(root: Path, command: Sequence[str], log: StepLog, *, user: str = "0:0", home: str = "/root") -> None:
    """Run a program in the root file system, with none of this machine's environment but its proxies."""
    (root / "etc" / "resolv.conf").write_bytes(Path("/etc/resolv.conf").read_bytes())
    proxies = {
        name: value for name, value in os.environ.items() if name.lower() in ("http_proxy", "https_proxy", "no_proxy")
    }
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": home, "LC_ALL": "C.UTF-8", **proxies}
    log.run(["chroot", f"--userspec={user}", root, *command], environment=environment)


def pack(root: Path, layer: Path, log: StepLog, *, members: Sequence[str] = (".",)) -> None:
    """Write these files and folders of the root file system into one uncompressed tar file."""
    excluded = [f"--exclude={pattern}" for pattern in NOT_PACKED]
    log.run(
        ["tar", "--create", "--file", layer, "--directory", root, "--numeric-owner", "--sort=name", *excluded, *members]
    )


def remove_root(folder: Path, log: StepLog) -> None:
    """Remove it, but nothing that something left mounted in it."""
    log.run(["rm", "--recursive", "--force", "--one-file-system", folder])


def _output_of(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
