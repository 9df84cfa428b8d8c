"""The storage class `local`, and the process that stands behind it (volumes.py)."""

import sys
from dataclasses import dataclass
from pathlib import Path

from local import paths
from local.cluster import volumes
from local.cluster.api_server import ApiServer
from local.machine.processes import Daemon, Supervisor


@dataclass(frozen=True, kw_only=True)
class Storage:
    """Volumes in `folder`, of shared access and any size; `simulated` ones exist in name only."""

    folder: Path
    api_server: ApiServer
    simulated: bool = False

    def ensure(self, daemons: Supervisor) -> bool:
        """Have the class and its provisioner; says whether anything had to be made."""
        path = f"{volumes.CLASSES}/{volumes.STORAGE_CLASS}"
        made = self.api_server.get(path) is None
        if made:
            self.api_server.apply(path, volumes.storage_class())
        return daemons.ensure(self._provisioner()) or made

    def _provisioner(self) -> Daemon:
        api_server = self.api_server
        command = [sys.executable, "-B", "-u", "-m", "local.cluster.volumes", f"--url={api_server.url}"]
        command += [f"--authority={api_server.authority}", f"--certificate={api_server.certificate}"]
        command += [f"--key={api_server.key}", f"--folder={self.folder}"]
        return Daemon(
            name="volumes",
            command=(*command, *(["--simulated"] if self.simulated else [])),
            environment={"PYTHONPATH": str(paths.CHECKOUT)},
            ready=lambda: True,
        )
