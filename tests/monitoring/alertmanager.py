"""Debian's Alertmanager, to which a Prometheus sends the alerts that fire, and whoever it tells of them."""

import json
import threading
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import yaml

from tests.monitoring import daemon


@dataclass(frozen=True)
class Alertmanager:
    """One that runs."""

    address: str
    told: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """The alerts that it has told somebody of, as they came: labels, annotations, and a status."""

    def names(self, status: Literal["firing", "resolved"]) -> set[str]:
        """Return the names of the alerts of which it has told that they fire, or do no more."""
        return {alert["labels"]["alertname"] for alert in self.told if alert["status"] == status}

    def is_ready(self) -> bool:
        """Tell whether it answers."""
        try:
            with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=10):
                return True
        except OSError:
            return False


@contextmanager
def running_alertmanager(folder: Path) -> Generator[Alertmanager]:
    """Run one until the context ends. It tells of an alert at once, by a webhook."""
    alertmanager, config = Alertmanager(daemon.free_address()), folder / "alertmanager.yaml"
    command = ["prometheus-alertmanager", f"--config.file={config}", f"--storage.path={folder}/alertmanager"]
    alone = [f"--web.listen-address={alertmanager.address}", "--cluster.listen-address="]
    with _webhook(alertmanager) as url:
        config.write_text(yaml.safe_dump(_configuration(url)))
        with daemon.running([*command, *alone], folder / "alertmanager.log", alertmanager.is_ready):
            yield alertmanager


def _configuration(url: str) -> dict[str, Any]:
    at_once = {"group_by": ["alertname"], "group_wait": "1s", "group_interval": "1s"}
    receiver = {"name": "somebody", "webhook_configs": [{"url": url}]}
    return {"route": {"receiver": "somebody", **at_once}, "receivers": [receiver]}


@contextmanager
def _webhook(alertmanager: Alertmanager) -> Generator[str]:
    """Note what Alertmanager tells."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            alertmanager.told.extend(told["alerts"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the name in the base class
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
