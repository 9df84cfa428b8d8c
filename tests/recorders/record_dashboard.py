"""Draws the dashboard of the dev stack while it is asked more and more: docs/dashboard.png, bench/dashboard.json.

    python -m tests.recorders.record_dashboard

The cluster of `make dev` has to be up. vLLM, Ray, HAProxy and Prometheus are the real ones, and each panel shows what
its own queries give; the panel of a query without data says so. About six minutes.
"""

import json
import math
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from completion import Model

from local import dev, stack
from local.cluster import cluster
from tests.monitoring.prometheus import Prometheus, wait_until
from tests.recorders.dashboard_picture import draw, write
from tests.serving import live
from tests.serving.monitored import dashboard, monitored_stack

CLIENTS = (1, 4, 16)
"""So many at a time, one after the other; then nobody."""

STEP_SECONDS = 90.0
RESOLUTION_SECONDS = 5
ANSWER_TOKENS = 64


def main() -> None:
    """Ask, read what each panel shows, write it and draw it."""
    outputs = stack.select(dev.STACK, cluster.KUBECONFIG).outputs()
    model = Model(live.service_url(outputs["service"].value), outputs["servedModels"].value[0])
    with TemporaryDirectory() as folder, monitored_stack(Path(folder)) as prometheus:
        since = time.time()
        for clients in CLIENTS:
            asked_by(model, clients)
        time.sleep(STEP_SECONDS / 2)
        shown = list(panels(prometheus, since, time.time()))
    write(shown)
    draw(shown)


def asked_by(model: Model, clients: int) -> None:
    """Let so many clients ask without a pause for STEP_SECONDS."""
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            model.ask("What is the meaning of life?", ANSWER_TOKENS, 60)

    with ThreadPoolExecutor(clients) as pool:
        asking = [pool.submit(ask) for _ in range(clients)]
        wait_until(lambda: any(one.done() for one in asking), STEP_SECONDS)
        ended.set()


def panels(prometheus: Prometheus, since: float, until: float) -> Iterator[dict[str, Any]]:
    """Yield each panel with what its queries give: series of [seconds since `since`, value]."""
    [text] = dashboard()["data"].values()
    for panel in json.loads(text)["panels"]:
        series = [
            {"name": legend(target["legendFormat"], found["metric"]), "values": points(found["values"], since)}
            for target in panel.get("targets", ())
            for found in prometheus.between(target["expr"], since, until, RESOLUTION_SECONDS)
        ]
        unit = panel.get("fieldConfig", {}).get("defaults", {}).get("unit", "")
        yield {key: panel[key] for key in ("type", "title", "gridPos")} | {"unit": unit, "series": series}


def legend(form: str, metric: dict[str, str]) -> str:
    """Return the name of a series as Grafana writes it."""
    return re.sub(r"\{\{(\w+)\}\}", lambda label: metric.get(label[1], ""), form)


def points(values: list[list[Any]], since: float) -> list[list[float]]:
    """Return the points of a series that have a value."""
    read = ((round(at - since), float(text)) for at, text in values)
    return [[at, float(f"{value:.4g}")] for at, value in read if math.isfinite(value)]


if __name__ == "__main__":
    main()
