"""What can be refused of the keys of deepseek:monitoring."""

from collections.abc import Iterator

from planning.problems import Problem
from planning.sizing.resolved import ResolvedStack
from planning.verdict.site_checks import OWN_LABELS, OWN_PREFIXES, problems_of_labels


def a_prometheus_is_named(stack: ResolvedStack) -> Iterator[Problem]:
    """Without it nothing of the section has an effect but traces, which go elsewhere."""
    monitoring = stack.settings.monitoring
    names = monitoring.model_fields_set - {"traces_endpoint"}
    written = sorted(f"monitoring.{type(monitoring).model_fields[name].alias}" for name in names)
    if written and not monitoring.enabled:
        text = f"is not set, so that {' and '.join(written)} would have no effect"
        yield Problem(
            "monitoring.prometheusNamespace", text, "the namespace of your Prometheus, or without the section"
        )


def labels_are_well_formed(stack: ResolvedStack) -> Iterator[Problem]:
    """Labels by which the Prometheus and its PodMonitors are selected are such that Kubernetes takes."""
    monitoring = stack.settings.monitoring
    yield from problems_of_labels("monitoring.labels", monitoring.labels, (*OWN_LABELS, *OWN_PREFIXES))
    yield from problems_of_labels("monitoring.prometheusLabels", monitoring.prometheus_labels, ())
    if not monitoring.prometheus_labels:
        text = "are none, so that every pod of that namespace could read the metrics"
        yield Problem("monitoring.prometheusLabels", text, "without monitoring.prometheusLabels, or the pods' labels")


MONITORING_CHECKS = (a_prometheus_is_named, labels_are_well_formed)
