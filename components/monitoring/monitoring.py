"""Monitoring: what a Prometheus of the cluster reads of the stack."""

from dataclasses import dataclass
from typing import Any, Self, cast

import pulumi
import pulumi_kubernetes as k8s

from components.benchmark.benchmark import Benchmark
from components.monitoring.alerts import rule_spec, serving_rule_spec, speed_rule_spec
from components.monitoring.dashboard import dashboard
from components.monitoring.scraping import annotations, pod_monitor_spec, service_spec
from components.monitoring.targets import Target, targets
from components.shared.labels import metadata
from components.shared.pods import Manifest
from components.stack_config import StackConfig
from planning.settings.sections import Monitoring as MonitoringSettings
from planning.settings.sections import StackSettings

COMPONENT = "monitoring"
GROUP = "monitoring.coreos.com"
API_VERSION = f"{GROUP}/v1"
OF_A_DASHBOARD = {"grafana_dashboard": "1"}
"""By which the sidecar of Grafana finds it, as the charts grafana and kube-prometheus-stack set it up."""


@dataclass(frozen=True, kw_only=True)
class MonitoringArgs:
    """How Prometheus finds the pods, and which stack they are of."""

    settings: StackSettings
    namespace: str

    @classmethod
    def of(cls, config: StackConfig) -> Self:
        """Return the arguments for a stack."""
        return cls(settings=config.settings, namespace=config.namespace)


class Monitoring(pulumi.ComponentResource):
    """Lets a Prometheus of the cluster find what the stack's pods tell.

    Creates: for each kind of pod with metrics a PodMonitor, and a PrometheusRule with the alerts; or, without the
    Prometheus Operator, headless Services with annotations; and a ConfigMap with a dashboard for Grafana. Waits for:
    nothing. Leaves alone: the pods, and the Prometheus. NetworkPolicies has the rules that let it in.
    """

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("deepseek:index:Monitoring", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        settings, stack = args.settings, pulumi.get_stack()
        monitoring, read = settings.monitoring, targets(settings.endpoint)
        if monitoring.has_operator:
            for target in read:
                _object("PodMonitor", f"{name}-{target.name}", pod_monitor_spec(target), monitoring, child)
            _object("PrometheusRule", name, rule_spec(args.namespace, stack, settings), monitoring, child)
        else:
            for target in read:
                _service(f"{name}-metrics-{target.name}", target, child)
        k8s.core.v1.ConfigMap(
            f"{name}-dashboard",
            metadata=metadata(f"{name}-dashboard", COMPONENT, more_labels=OF_A_DASHBOARD),
            data={f"deepseek-{args.namespace}.json": dashboard(args.namespace, stack, settings)},
            opts=child,
        )
        self.register_outputs({})


def _object(
    kind: str, name: str, spec: pulumi.Input[Manifest], settings: MonitoringSettings, opts: pulumi.ResourceOptions
) -> None:
    """Create an object of the Prometheus Operator, with the labels by which a Prometheus selects it."""
    k8s.apiextensions.CustomResource(
        name,
        api_version=API_VERSION,
        kind=kind,
        metadata=metadata(name, COMPONENT, more_labels=settings.labels),
        spec=spec,
        opts=opts,
    )


def _service(name: str, target: Target, opts: pulumi.ResourceOptions) -> None:
    k8s.core.v1.Service(
        name,
        # Its pods come and go: those of the download have ended.
        metadata=metadata(name, COMPONENT, {"pulumi.com/skipAwait": "true", **annotations(target)}),
        spec=cast("Any", service_spec(target)),
        opts=opts,
    )


def alert_when_not_served(config: StackConfig, opts: pulumi.ResourceOptions) -> None:
    """Create the PrometheusRule that tells when nothing is served, where a stack has PodMonitors.

    It is an object of its own, made after the gate: a stack that goes up builds and downloads for hours before it has
    anything to serve. The other alerts do not wait for that.
    """
    settings = config.settings
    if settings.monitoring.has_operator:
        spec = serving_rule_spec(config.namespace, pulumi.get_stack(), settings)
        _object("PrometheusRule", "deepseek-serving", spec, settings.monitoring, opts)


def alert_when_slow(config: StackConfig, benchmark: Benchmark, opts: pulumi.ResourceOptions) -> None:
    """Create the PrometheusRule that compares with what the benchmark has measured, where a stack has PodMonitors.

    It is an object of its own: the other alerts do not wait for a measurement.
    """
    settings = config.settings
    if settings.monitoring.has_operator:
        spec = benchmark.result.apply(
            lambda measured: speed_rule_spec(config.namespace, pulumi.get_stack(), settings, measured)
        )
        _object("PrometheusRule", "deepseek-speed", spec, settings.monitoring, opts)


def offer_metrics(config: StackConfig, opts: pulumi.ResourceOptions) -> None:
    """Create what a Prometheus finds of the stack, where it has one."""
    if config.settings.monitoring.enabled:
        Monitoring("deepseek", MonitoringArgs.of(config), opts)
