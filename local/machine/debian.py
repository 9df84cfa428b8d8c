"""What comes from Debian: only what is missing is installed, and nothing of it is started."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Generator, Sequence
from pathlib import Path

from local import versions
from local.machine import listening
from local.steps import StepLog

POLICY = Path("/usr/sbin/policy-rc.d")
DENY_EVERY_START = "#!/bin/sh\n# Written by deepseek-on-kubernetes for one apt-get run.\nexit 101\n"
SERVICES = ("containerd", "docker-registry", "etcd", "haproxy", "prometheus", "prometheus-alertmanager")


class ServiceStarted(Exception):
    """A package that was just installed started to listen, which it was told not to."""


def missing_packages(wanted: Sequence[str], dpkg_output: str) -> list[str]:
    r"""Those of `wanted` that `dpkg-query -f '${Package} ${db:Status-Status}\n'` does not say are installed."""
    installed = {line.split()[0] for line in dpkg_output.splitlines() if line.endswith(" installed")}
    return [package for package in wanted if package not in installed]


def find_missing_packages(wanted: Sequence[str]) -> list[str]:
    """The packages that this machine lacks."""
    query = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *wanted]
    # Its exit status is 1 as soon as one package is unknown.
    output = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    return missing_packages(wanted, output)


def install_packages(log: StepLog, wanted: Sequence[str] = versions.DEBIAN_PACKAGES) -> str:
    """Install what is missing without letting any service start, now or at the next boot.

    Raises CommandFailed if apt-get does, ServiceStarted if something listens afterwards that did not before.
    """
    missing = find_missing_packages(wanted)
    if not missing:
        return "already there"
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    before = listening.listening_ports()
    with services_kept_from_starting():
        log.run(["apt-get", "update"], environment=environment)
        install = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
        log.run(install, environment=environment)
    if Path("/run/systemd/system").exists():
        units = [service for service in SERVICES if any(package.startswith(service) for package in missing)]
        log.run(["systemctl", "disable", *units])
    started = listening.listening_ports() - before
    if started:
        ports = ", ".join(str(port) for port in sorted(started))
        raise ServiceStarted(f"after installing {' '.join(missing)} something listens on port {ports}; stop it first")
    return "installed " + " ".join(missing)


@contextlib.contextmanager
def services_kept_from_starting() -> Generator[None]:
    """Debian's policy-rc.d says no while this lasts; one that the machine already has is put back afterwards."""
    kept = POLICY.with_name("policy-rc.d.deepseek-on-kubernetes")
    if POLICY.exists():
        shutil.move(POLICY, kept)
    POLICY.write_text(DENY_EVERY_START)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
        if kept.exists():
            shutil.move(kept, POLICY)
