"""Where the figures come from: the pods' metrics by port-forward, and Events of the serving Job, by kubectl."""

import json
import subprocess
import time
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Self

from local.port_forward import port_forward
from local.watch.figures import Readings

PATIENCE_SECONDS = 5.0
FAILED = "ServingFailed"


@dataclass(frozen=True)
class Source:
    """Pods by their labels, and the port where they tell metrics (components/monitoring/targets.py)."""

    labels: str
    port: int


SOURCES = (
    Source("ray.io/node-type=head,app.kubernetes.io/component=ray", 8000),
    Source("app.kubernetes.io/component=serving", 8001),
    Source("app.kubernetes.io/component=endpoint", 8404),
)


@dataclass(frozen=True)
class Failure:
    """The last end of vLLM that Kubernetes still knows of: when, as it writes times, and why."""

    at: str
    reason: str


class StackPods:
    """Reads the pods of one stack, as they come and go. It keeps connections to them within its context."""

    def __init__(self, kubectl: Sequence[str]) -> None:
        self._kubectl = kubectl
        self._open = ExitStack()
        self._urls: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def read(self) -> Readings:
        """Return what the pods tell now; those that do not answer are left out, and tried anew at the next time."""
        texts: list[str] = []
        for source in SOURCES:
            for pod in self._running(source):
                try:
                    with urllib.request.urlopen(
                        f"{self._url(pod, source.port)}/metrics", timeout=PATIENCE_SECONDS
                    ) as answer:
                        texts.append(answer.read().decode())
                except (OSError, RuntimeError):
                    self._urls.pop(pod, None)
        return Readings(time.monotonic(), texts)

    def last_failure(self) -> Failure | None:
        """Return why vLLM has ended last, within the hour for which Kubernetes keeps Events."""
        events = self._items("events", f"--field-selector=reason={FAILED}")
        last = max(events, key=lambda event: str(event.get("lastTimestamp") or ""), default=None)
        return Failure(str(last.get("lastTimestamp") or ""), str(last.get("message", ""))) if last else None

    def _running(self, source: Source) -> list[str]:
        pods = self._items("pods", f"--selector={source.labels}", "--field-selector=status.phase=Running")
        return [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def _url(self, pod: str, port: int) -> str:
        if pod not in self._urls:
            self._urls[pod] = self._open.enter_context(port_forward(self._kubectl, f"pod/{pod}", port))
        return self._urls[pod]

    def _items(self, *arguments: str) -> list[dict[str, Any]]:
        """Return what `kubectl get` lists. Raises RuntimeError with what it says where it fails."""
        command = [*self._kubectl, "get", *arguments, "--output=json", f"--request-timeout={PATIENCE_SECONDS:.0f}s"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        return json.loads(done.stdout)["items"]
