"""What the Prometheus Operator makes of a stack's PodMonitors, for a Prometheus that finds the pods in a file.

Debian's Prometheus cannot ask an API server. Source: Prometheus Operator 0.85, pkg/prometheus/promcfg.go,
generatePodMonitorConfig.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from components.shared.pods import Manifest
from tests.unit.components.registrations import Program


@dataclass(frozen=True)
class OperatorObjects:
    """A stack's objects of the Prometheus Operator."""

    monitors: Sequence[Manifest]
    """PodMonitors."""

    rules: Sequence[Manifest]
    """PrometheusRules."""

    @classmethod
    def registered(cls, program: Program) -> "OperatorObjects":
        """Return those that a program registered."""
        monitors, rules = (
            [item.inputs for item in program.kubernetes() if item.type.endswith(f":{kind}")]
            for kind in ("PodMonitor", "PrometheusRule")
        )
        return cls(monitors, rules)

    def configuration(
        self,
        namespace: str,
        pods_file: str,
        rule_file: str,
        *,
        interval_seconds: int,
        alertmanagers: Sequence[str] = (),
    ) -> Manifest:
        """Return prometheus.yml; `alertmanagers` are their addresses."""
        interval = f"{interval_seconds}s"
        return {
            "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
            "rule_files": [rule_file],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [*alertmanagers]}]}]},
            "scrape_configs": [_job(monitor, namespace, pods_file) for monitor in self.monitors],
        }

    def rule_file(self) -> Manifest:
        """Return the rules of all groups as Prometheus reads them."""
        return {"groups": [group for rule in self.rules for group in rule["spec"]["groups"]]}


def _job(monitor: dict[str, Any], namespace: str, pods_file: str) -> Manifest:
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    name = f"{namespace}/{monitor['metadata']['name']}"
    return {
        "job_name": f"podMonitor/{name}/0",
        "metrics_path": endpoint["path"],
        "file_sd_configs": [{"files": [pods_file]}],
        "relabel_configs": [*_relabelings(monitor["spec"]["selector"]["matchLabels"], name), *_own(endpoint)],
    }


def _relabelings(selected: dict[str, str], job: str) -> Iterator[Manifest]:
    yield {"action": "drop", "source_labels": ["__meta_kubernetes_pod_phase"], "regex": "(Failed|Succeeded)"}
    for label, value in sorted(selected.items()):
        sources = [f"__meta_kubernetes_pod_{kind}_{sanitized(label)}" for kind in ("label", "labelpresent")]
        yield {"action": "keep", "source_labels": sources, "regex": f"({value});true"}
    for source, target in (("namespace", "namespace"), ("pod_container_name", "container"), ("pod_name", "pod")):
        yield {"source_labels": [f"__meta_kubernetes_{source}"], "target_label": target}
    yield {"target_label": "job", "replacement": job}


def sanitized(label: str) -> str:
    """Return how Prometheus names a label of Kubernetes."""
    return re.sub(r"[^a-zA-Z0-9_]", "_", label)


def _own(endpoint: dict[str, Any]) -> Iterator[Manifest]:
    """Yield the endpoint's own rules, whose keys Prometheus writes in another way."""
    for rule in endpoint["relabelings"]:
        yield {re.sub("([A-Z])", r"_\1", key).lower(): value for key, value in rule.items()}
