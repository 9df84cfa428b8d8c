"""Debian's Prometheus, which reads pods by the PodMonitors of a stack."""

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.monitoring import daemon
from tests.monitoring.operator_config import OperatorObjects
from tests.monitoring.played_stack import discovered


@dataclass(frozen=True)
class Prometheus:
    """One that runs, asked by its HTTP API."""

    url: str
    pods_file: Path

    def find(self, pods: Iterable[Mapping[str, Any]]) -> None:
        """Read these pods from now on, and no others."""
        written = self.pods_file.with_suffix(".new")
        written.write_text(json.dumps(list(discovered(pods))))
        written.replace(self.pods_file)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that an expression has now."""
        return self._ask("query", query=expression)["result"]

    def targets(self) -> list[dict[str, Any]]:
        """Return what it reads."""
        return self._ask("targets", state="active")["activeTargets"]

    def rules(self) -> list[dict[str, Any]]:
        """Return the rules of all groups."""
        return [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]

    def alerts(self) -> list[dict[str, Any]]:
        """Return the alerts that are pending or fire."""
        return self._ask("alerts")["alerts"]

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        return {item["labels"]["alertname"] for item in self.alerts() if item["state"] == "firing"}

    def fired(self, since: float) -> dict[str, float]:
        """Return when each alert first fired since a time, by its name; seconds since the epoch."""
        series = self.between('ALERTS{alertstate="firing"}', since, time.time(), 1)
        return {item["metric"]["alertname"]: float(item["values"][0][0]) for item in series}

    def between(self, expression: str, since: float, until: float, step_seconds: int) -> list[dict[str, Any]]:
        """Return the series that an expression had between two times, in seconds since the epoch."""
        times = {"start": str(since), "end": str(until), "step": str(step_seconds)}
        return self._ask("query_range", query=expression, **times)["result"]

    def has_read_all(self) -> bool:
        """Tell whether every target has been read three times, so that rates are known."""
        try:
            counted = self.query("min(count_over_time(up[1h]))")
        except OSError:
            return False
        return bool(counted) and int(counted[0]["value"][1]) >= 3

    def _ask(self, path: str, **query: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
            return json.load(answer)["data"]


@contextmanager
def running_prometheus(
    folder: Path,
    objects: OperatorObjects,
    namespace: str,
    pods: Iterable[Mapping[str, Any]],
    *,
    interval_seconds: int = 1,
    alertmanagers: Sequence[str] = (),
) -> Generator[Prometheus]:
    """Run one until the context ends, with these PodMonitors and rules, which finds these pods and Alertmanagers."""
    rules, pods_file = folder / "rules.yaml", folder / "pods.json"
    rules.write_text(yaml.safe_dump(objects.rule_file()))
    config = objects.configuration(
        namespace, str(pods_file), str(rules), interval_seconds=interval_seconds, alertmanagers=alertmanagers
    )
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    address = daemon.free_address()
    command = ["prometheus", f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data"]
    prometheus = Prometheus(f"http://{address}", pods_file)
    prometheus.find(pods)
    with daemon.running([*command, f"--web.listen-address={address}"], folder / "log", prometheus.has_read_all):
        yield prometheus


def queries_of_the_dashboard(config_map: Mapping[str, Any]) -> list[str]:
    """Return what the panels of a dashboard ask for."""
    [text] = config_map["data"].values()
    return [target["expr"] for panel in json.loads(text)["panels"] for target in panel.get("targets", [])]


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> bool:
    """Return whether a condition comes to hold within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True
