"""Kernel settings that the cluster changes: remembered before it does, and put back afterwards."""

import json
from pathlib import Path

FORWARDING = "net/ipv4/ip_forward"
CHANGED = (
    FORWARDING,
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


class KernelSettings:
    """What the settings were is kept in the file `memory` for as long as they may be changed."""

    def __init__(self, memory: Path, root: Path = Path("/proc/sys")) -> None:
        self._memory = memory
        self._root = root

    def ensure_forwarding(self) -> bool:
        """Let packets be forwarded between pods and the world; says whether they were not before."""
        if not self._memory.exists():
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            self._memory.write_text(json.dumps(self._values()))
        changed = self._values()[FORWARDING] != "1"
        if changed:
            (self._root / FORWARDING).write_text("1")
        return changed

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
