"""The dev stack with monitoring, and Debian's Prometheus, which reads it by the objects that the program has made.

The embedded cluster has no Prometheus Operator: stand-ins without a schema hold its objects.
"""

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.monitoring.monitoring import API_VERSION, GROUP
from components.preflight.monitoring_prerequisites import KINDS
from local import dev, stack
from local.cluster.api_server import ApiError
from local.cluster.ray_operator import DEFINITIONS, stand_in
from tests.monitoring.operator_config import OperatorObjects
from tests.monitoring.prometheus import Prometheus, running_prometheus, wait_until
from tests.serving import live
from tests.serving.dev_stack import changed

ALERT_AFTER_SECONDS = 20
INTERVAL_SECONDS = 5
MONITORING = {
    "prometheusNamespace": "monitoring",
    "alertAfter": f"{ALERT_AFTER_SECONDS}s",
    "firstTokenSeconds": 60.0,  # two CPUs for a whole cluster and its model
}
OBJECTS = f"/apis/{API_VERSION}/namespaces/{dev.NAMESPACE}"


@contextmanager
def monitored_stack(folder: Path, alertmanagers: Sequence[str] = ()) -> Generator[Prometheus]:
    """Have the dev stack read by a Prometheus within this context, which sends its alerts to these Alertmanagers."""
    for kind in KINDS.values():
        live.API.apply(_definition(kind), stand_in(kind, GROUP))
    assert wait_until(lambda: _known() >= KINDS.keys())
    changed({"deepseek:monitoring": MONITORING}).up(on_output=stack.show)
    try:
        with (
            running_prometheus(
                folder,
                created(),
                dev.NAMESPACE,
                _pods(),
                interval_seconds=INTERVAL_SECONDS,
                alertmanagers=alertmanagers,
            ) as running,
            _finding_pods(running),
        ):
            yield running
    finally:
        changed().up(on_output=stack.show)
        for kind in KINDS.values():
            live.API.delete(_definition(kind))


def created() -> OperatorObjects:
    """Return the objects of the Prometheus Operator that the cluster has of the stack."""
    monitors, rules = (live.API.request("GET", f"{OBJECTS}/{kind}")["items"] for kind in KINDS)
    return OperatorObjects(monitors, rules)


def dashboard() -> dict[str, Any]:
    """Return the ConfigMap of the dashboard that the cluster has of the stack."""
    return live.API.request("GET", f"{live.CORE}/configmaps/deepseek-dashboard")


def _definition(kind: str) -> str:
    return f"{DEFINITIONS}/{kind.lower()}s.{GROUP}"


def _known() -> set[str]:
    served = live.API.get(f"/apis/{API_VERSION}") or {"resources": []}
    return {resource["name"] for resource in served["resources"]}


def _pods() -> Iterator[dict[str, Any]]:
    """Yield the pods of the stack that run and have an address, as Prometheus would be told of them."""
    for label in (live.HEAD, live.WORKER, live.SUPERVISOR, live.PROXY):
        yield from live.pods(label)


@contextmanager
def _finding_pods(prometheus: Prometheus) -> Generator[None]:
    """Let Prometheus find the pods of the stack, as they come and go."""
    stopped = threading.Event()

    def find() -> None:
        while not stopped.wait(INTERVAL_SECONDS):
            try:
                prometheus.find(list(_pods()))
            except (OSError, ApiError):
                continue  # a busy machine; there is a next look

    thread = threading.Thread(target=find, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
