"""Debian's Alertmanager, to which a Prometheus sends the alerts that fire."""

import json
import socket
import subprocess
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.monitoring.prometheus import wait_until

ROUTES = {
    "route": {"receiver": "nobody", "group_by": ["alertname"], "group_wait": "1s"},
    "receivers": [{"name": "nobody"}],
}


@dataclass(frozen=True)
class Alertmanager:
    """One that runs, asked by its HTTP API."""

    address: str

    def active(self) -> dict[str, dict[str, Any]]:
        """Return the alerts that it would tell people of now, by name."""
        with urllib.request.urlopen(f"http://{self.address}/api/v2/alerts?active=true", timeout=10) as answer:
            return {alert["labels"]["alertname"]: alert for alert in json.load(answer)}

    def is_ready(self) -> bool:
        """Tell whether it answers."""
        try:
            return self.active() == {}
        except OSError:
            return False


@contextmanager
def running_alertmanager(folder: Path) -> Generator[Alertmanager]:
    """Run one until the context ends; it tells nobody."""
    config = folder / "alertmanager.yaml"
    config.write_text(yaml.safe_dump(ROUTES))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = ["prometheus-alertmanager", f"--config.file={config}", f"--storage.path={folder}/alertmanager"]
    alone = [f"--web.listen-address={address}", "--cluster.listen-address="]
    running = Alertmanager(address)
    with (folder / "alertmanager.log").open("wb") as log:
        process = subprocess.Popen([*command, *alone], stdout=log, stderr=log)
    try:
        assert wait_until(running.is_ready), (folder / "alertmanager.log").read_text()
        yield running
    finally:
        process.terminate()
        process.wait(20)
