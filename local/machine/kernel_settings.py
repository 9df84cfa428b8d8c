"""Kernel settings that the cluster changes: remembered before it does, and put back afterwards."""

import json
import shutil
import subprocess
from pathlib import Path

FORWARDING = "net/ipv4/ip_forward"
FILTERED_BRIDGES = "net/bridge/bridge-nf-call-iptables"
"""With it, traffic between two pods on the bridge passes the packet filter, where NetworkPolicies are enforced."""

WANTED = {FORWARDING: "1", FILTERED_BRIDGES: "1"}
CHANGED = (
    *WANTED,
    # By the kubelet, at its start.
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
    # By kube-proxy.
    "net/ipv4/conf/all/route_localnet",
)


class KernelLacks(Exception):
    """The kernel cannot do something that the cluster needs; the text says what, and what helps."""


class KernelSettings:
    """What the settings were is kept in the file `memory` for as long as they may be changed."""

    def __init__(self, memory: Path, root: Path = Path("/proc/sys")) -> None:
        self._memory = memory
        self._root = root

    def ensure(self) -> bool:
        """Let packets be forwarded, and filtered on bridges; says whether they were not before. Raises KernelLacks."""
        if not (self._root / FILTERED_BRIDGES).exists():
            _load("br_netfilter")
        if not self._memory.exists():
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            self._memory.write_text(json.dumps(self._values()))
        values = self._values()
        if FILTERED_BRIDGES not in values:
            raise KernelLacks(
                f"This kernel has no /proc/sys/{FILTERED_BRIDGES}, and `modprobe br_netfilter` does not bring it: "
                "NetworkPolicies could not be enforced between pods. Use a kernel with CONFIG_BRIDGE_NETFILTER."
            )
        changed = {name: value for name, value in WANTED.items() if values[name] != value}
        for name, value in changed.items():
            (self._root / name).write_text(value)
        return bool(changed)

    def restore(self) -> None:
        """Put back what was remembered, if anything was."""
        if self._memory.exists():
            now = self._values()
            for name, value in json.loads(self._memory.read_text()).items():
                if now.get(name) != value:
                    (self._root / name).write_text(value)
            self._memory.unlink()

    def _values(self) -> dict[str, str]:
        paths = ((name, self._root / name) for name in CHANGED)
        return {name: path.read_text().strip() for name, path in paths if path.exists()}


def _load(module: str) -> None:
    """Load a module of the kernel, if there is one and a program that can."""
    if modprobe := shutil.which("modprobe", path="/usr/sbin:/sbin"):
        subprocess.run([modprobe, module], capture_output=True, check=False)
