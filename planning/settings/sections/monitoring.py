"""The keys of deepseek:monitoring."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from planning.settings.sections.base import REPLACES_SERVING, Duration, Name, Section, Text, changing

SCRAPES_ANEW = changing("changes what Prometheus reads; nothing that serves is touched")


COLLECTOR = r"^http://([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*|\[[0-9a-f:]+\]):[1-9][0-9]{0,4}$"


def _collector(written: str) -> str:
    """Return the address of a collector. Raises ValueError for what COLLECTOR lets pass and is none."""
    try:
        port = urlsplit(written).port
    except ValueError:
        port = None
    if port is None:
        raise ValueError("http://HOST:PORT is expected, with a port of at most 65535")
    return written


class Monitoring(Section):
    """Metrics for a Prometheus of the cluster, off unless `prometheusNamespace` is set, and traces of requests."""

    prometheus_namespace: Name | None = Field(
        default=None,
        description=(
            "Namespace of the Prometheus that reads this stack's metrics. Its pods are let in at the ports where vLLM, "
            "Ray and the stack's own programs tell them."
        ),
        examples=["monitoring"],
        json_schema_extra=changing(
            "makes or removes what Prometheus reads, and changes NetworkPolicies in place; nothing that serves is "
            "touched"
        ),
    )
    prometheus_labels: dict[str, str] = Field(
        default={"app.kubernetes.io/name": "prometheus"},
        description="Labels of the pods of that Prometheus.",
        json_schema_extra=changing("updates NetworkPolicies in place; nothing that serves is touched"),
    )
    scrape: Literal["podMonitors", "annotations"] = Field(
        default="podMonitors",
        description=(
            "How Prometheus finds the pods. `podMonitors`: by PodMonitors of the Prometheus Operator, which must be "
            "installed. `annotations`: by Services with `prometheus.io/scrape`, for a Prometheus without the operator."
        ),
        json_schema_extra=SCRAPES_ANEW,
    )
    labels: dict[str, str] = Field(
        default={},
        description=(
            "Labels by which that Prometheus selects PodMonitors and rules, such as `release: kube-prometheus-stack`. "
            "`podMonitorSelector` and `ruleSelector` of its object Prometheus show them."
        ),
        json_schema_extra=SCRAPES_ANEW,
    )
    alert_after: Annotated[Duration, Field(ge=20, le=7200)] = Field(
        default=600,
        description=(
            "How long it has to go badly until somebody is told: no model is served, first tokens are late. Other "
            "alerts take half of it or up to three times as much. It should be at least eight times the interval at "
            "which that Prometheus reads."
        ),
        json_schema_extra=SCRAPES_ANEW,
    )
    first_token_seconds: Annotated[float, Field(gt=0, le=1000)] = Field(
        default=10.0,
        description=(
            "Seconds to the first token of an answer above which the alert ModelFirstTokenSlow fires, for the slowest "
            "tenth of the requests."
        ),
        json_schema_extra=SCRAPES_ANEW,
    )
    traces_endpoint: Annotated[str, Field(pattern=COLLECTOR), AfterValidator(_collector)] | None = Field(
        default=None,
        description=(
            "Collector of traces to which vLLM sends a span for each request, by OTLP over gRPC, without TLS: "
            "`http://HOST:PORT`. A span has times, numbers of tokens and the request's id, and nothing of its text. "
            "The NetworkPolicy of the Ray pods lets them connect to that port."
        ),
        examples=["http://otel-collector.monitoring:4317"],
        json_schema_extra=REPLACES_SERVING,
    )
    runbook: Text | None = Field(
        default=None,
        description=(
            "Address of docs/failures.md where your people read it, to which alerts link (`runbook_url`). If unset, "
            "alerts name the page by its path."
        ),
        examples=["https://git.example.com/platform/deepseek/blob/main/docs/failures.md"],
        json_schema_extra=SCRAPES_ANEW,
    )

    @property
    def enabled(self) -> bool:
        """Whether a Prometheus is to read this stack's metrics."""
        return self.prometheus_namespace is not None

    @property
    def has_operator(self) -> bool:
        """Whether that Prometheus belongs to the Prometheus Operator."""
        return self.enabled and self.scrape == "podMonitors"
