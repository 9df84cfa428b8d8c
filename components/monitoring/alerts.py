"""The alerts of a stack, as rules of Prometheus: what somebody has to be told of, from metrics alone.

docs/failures.md has a heading for each, to which it links. Names and meanings of the metrics: vLLM 0.32,
vllm/v1/metrics/loggers.py; HAProxy 2.6, addons/promex; images/ray-vllm/programs/supervisor/supervisor_metrics.py;
images/fetch/download_metrics.py.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from components.shared.pods import Manifest
from planning.settings.quantities import duration_text
from planning.settings.sections import StackSettings

PAGE = "docs/failures.md"
CERTIFICATE_DAYS = 7
"""Before its end, assumed: cert-manager renews a certificate of 90 days when 30 are left, and one of 30 when 10 are."""


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One rule: `expression` yields one series without labels while something is wrong."""

    name: str
    expression: str
    lasting: str
    """For how long it has to be so, as Prometheus writes durations."""

    severity: Literal["critical", "warning"]
    """critical: nobody gets answers, or hours of work stand still. warning: answers are late or few."""

    summary: str


def rule_spec(namespace: str, stack: str, settings: StackSettings) -> Manifest:
    """Return the specification of a PrometheusRule, which is also a rule file of Prometheus."""
    return _group("deepseek", alerts(namespace, settings), namespace, stack, settings)


def serving_rule_spec(namespace: str, stack: str, settings: StackSettings) -> Manifest:
    """Return the same with the alerts of a stack that has served once."""
    several = [_engine_not_served(namespace, settings)] if settings.serving.engines > 1 else []
    return _group("deepseek-serving", [_not_served(namespace, settings), *several], namespace, stack, settings)


def speed_rule_spec(namespace: str, stack: str, settings: StackSettings, measured: Mapping[str, Any]) -> Manifest:
    """Return the same with the alert that compares with what the benchmark has measured; without rules if it has not.

    `measured` is the stack output `benchmark`.
    """
    return _group("deepseek-speed", _slow(namespace, settings, measured), namespace, stack, settings)


def _group(name: str, found: Iterable[Alert], namespace: str, stack: str, settings: StackSettings) -> Manifest:
    page = settings.monitoring.runbook or PAGE
    return {"groups": [{"name": name, "rules": [_rule(alert, namespace, stack, page) for alert in found]}]}


def _rule(alert: Alert, namespace: str, stack: str, page: str) -> Manifest:
    return {
        "alert": alert.name,
        "expr": alert.expression,
        "for": alert.lasting,
        "labels": {"severity": alert.severity, "namespace": namespace, "stack": stack},
        "annotations": {
            "summary": f"{stack}: {alert.summary}",
            "runbook_url": f"{page}#{alert.name.lower()}",
        },
    }


def alerts(namespace: str, settings: StackSettings) -> Iterator[Alert]:
    """Return the alerts of a stack from its first `up` on, in a namespace, which has one stack."""
    of = f'namespace="{namespace}"'
    bound = f"{settings.monitoring.first_token_seconds:g}"
    whole, half, longer = (_Time(settings.monitoring.alert_after * share) for share in (1, 0.5, 1.5))
    yield Alert(
        name="ModelEngineHangs",
        expression=(
            f"max(deepseek_supervisor_silence_seconds{{{of}}}) > 90 "
            f'or sum(increase(deepseek_supervisor_failures_total{{{of}, kind="hung"}}[{whole}])) > 0'
        ),
        lasting="0s",
        severity="critical",
        summary="vLLM runs and answers nothing; its supervisor stops it after 3 minutes and starts it again.",
    )
    yield Alert(
        name="ModelEngineRestarts",
        # Prometheus extrapolates an increase to the whole hour, so that two ends count as a little more.
        expression=f"sum(increase(deepseek_supervisor_failures_total{{{of}}}[1h])) > 2.5",
        lasting="0s",
        severity="critical",
        summary='vLLM has ended {{ printf "%.0f" $value }} times within an hour.',
    )
    yield Alert(
        name="ModelQueueGrows",
        expression=(
            f"sum(min_over_time(vllm:num_requests_waiting{{{of}}}[{whole}])) > 10 "
            f"and sum(deriv(vllm:num_requests_waiting{{{of}}}[{whole}])) > 0"
        ),
        lasting=str(half),
        severity="warning",
        summary=f"requests come faster than they are answered, and more than 10 have waited for {whole.words}.",
    )
    yield Alert(
        name="ModelKvCacheFull",
        expression=f"max(min_over_time(vllm:kv_cache_usage_perc{{{of}}}[{whole}])) > 0.95",
        lasting=str(half),
        severity="warning",
        summary=f"the KV cache has been full for {longer.words}: requests wait, or are computed twice.",
    )
    yield Alert(
        name="ModelFirstTokenSlow",
        expression=(
            "histogram_quantile(0.9, sum by (le) "
            f"(rate(vllm:time_to_first_token_seconds_bucket{{{of}}}[{half}]))) > {bound}"
        ),
        lasting=str(whole),
        severity="warning",
        summary=f"a tenth of the requests wait longer than {bound} s for their first token.",
    )
    yield Alert(
        name="ModelDownloadStuck",
        expression=(
            f"max((deepseek_download_received_bytes{{{of}}} < deepseek_download_wanted_bytes{{{of}}}) "
            f"and delta(deepseek_download_received_bytes{{{of}}}[{longer}]) <= 0)"
        ),
        lasting=str(longer),
        severity="critical",
        summary=f"the download of the weights has brought no byte for {longer.words}.",
    )
    if settings.endpoint.proxy and settings.serving.authentication == "key":
        yield _keys_refused(f'{of}, proxy="door"', half)
    if settings.endpoint.takes_tls:
        yield Alert(
            name="ModelCertificateEnds",
            expression=f"min(deepseek_endpoint_certificate_end_seconds{{{of}}}) - time() < {CERTIFICATE_DAYS} * 86400",
            lasting=str(whole),
            severity="critical",
            summary="the certificate of the proxies ends in {{ $value | humanizeDuration }}, and is not renewed.",
        )


@dataclass(frozen=True)
class _Time:
    """A time as Prometheus writes it, and in words."""

    seconds: float

    def __str__(self) -> str:
        return duration_text(self.seconds)

    @property
    def words(self) -> str:
        return f"{self.seconds / 60:g} minutes"


def _not_served(namespace: str, settings: StackSettings) -> Alert:
    """A serving Job that starts for the first time is let load: its gate, or its first failure, ends that."""
    of, whole = f'namespace="{namespace}"', _Time(settings.monitoring.alert_after)
    return Alert(
        name="ModelNotServed",
        expression=(
            f"max(absent(deepseek_supervisor_serving{{{of}}} == 1) or absent(vllm:num_requests_running{{{of}}})) "
            f"unless max(deepseek_supervisor_first_start{{{of}}} == 1)"
        ),
        lasting=str(whole),
        severity="critical",
        summary=f"no model has been served for {whole.words}.",
    )


def _engine_not_served(namespace: str, settings: StackSettings) -> Alert:
    """Some serve; an engine that starts for the first time, as after a change, is let load."""
    of, engines = f'namespace="{namespace}"', settings.serving.engines
    whole = _Time(settings.monitoring.alert_after)
    return Alert(
        name="ModelEngineNotServed",
        expression=(
            f"count(deepseek_supervisor_serving{{{of}}} == 1) < {engines} "
            f"unless max(deepseek_supervisor_first_start{{{of}}} == 1)"
        ),
        lasting=str(whole),
        severity="warning",
        summary=f'only {{{{ printf "%.0f" $value }}}} of {engines} engines have served for {whole.words}.',
    )


def _keys_refused(of: str, lasting: _Time) -> Alert:
    """HAProxy counts as denied what it refuses for its key, and nothing else (components/endpoint/haproxy.py)."""
    refused, all_of_them = (
        f"sum(rate(haproxy_frontend_{counted}_total{{{of}}}[{lasting}]))"
        for counted in ("requests_denied", "http_requests")
    )
    return Alert(
        name="ModelKeysRefused",
        expression=f"{refused} > 1 and {refused} > 0.5 * {all_of_them}",
        lasting=str(lasting),
        severity="warning",
        summary="more than half of the requests are refused for their key: {{ $value | humanize }} a second.",
    )


SLOW = 0.5
"""Of what was measured, assumed: prompts and answers of users differ from those of the benchmark."""


def _slow(namespace: str, settings: StackSettings, measured: Mapping[str, Any]) -> Iterator[Alert]:
    if "tokensPerSecond" not in measured:
        return
    of, at_once, tokens = f'namespace="{namespace}"', measured["requestsAtOnce"], measured["tokensPerSecond"]
    whole = _Time(settings.monitoring.alert_after)
    yield Alert(
        name="ModelSlow",
        expression=(
            f"sum(rate(vllm:generation_tokens_total{{{of}}}[{whole}])) < {SLOW * tokens:g} "
            f"and sum(min_over_time(vllm:num_requests_running{{{of}}}[{whole}])) >= {at_once}"
        ),
        lasting=str(whole),
        severity="warning",
        summary=(
            f"with {at_once} requests at once or more it generates {{{{ $value | humanize }}}} tokens a second, and "
            f"{tokens:g} were measured."
        ),
    )
