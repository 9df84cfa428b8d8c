"""The dashboard of a stack, as Grafana reads it: is it up, how fast, how full, what does it cost.

Source of the JSON: Grafana, "Dashboard JSON model". Metrics as in alerts.py; Ray 2.60, dashboard/modules/reporter.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from components.shared.pods import Manifest
from planning.settings.sections import StackSettings

COLUMNS, HEIGHT = 24, 7
WINDOW = "5m"
DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True)
class Panel:
    """One graph: its title, the unit as Grafana names it, and its queries with what the legend says of each."""

    title: str
    unit: str
    queries: Sequence[tuple[str, str]]


def rows(namespace: str, settings: StackSettings) -> Iterator[tuple[str, list[Panel]]]:
    """Return the panels by the question that they answer."""
    of, hardware = f'namespace="{namespace}"', settings.hardware
    yield "Is it up?", _up(of)
    yield "How fast is it?", _speed(of)
    yield "How full is it?", [*_room(of), *(_gpus(of) if hardware.on_gpus else [])]
    if settings.endpoint.proxy:
        yield "Who comes to the door?", [*_door(of), *([_users(of)] if settings.endpoint.count_tokens else [])]
    if hardware.price_per_gpu_hour is not None:
        gpus = hardware.gpus * settings.serving.planned_engines
        yield "What does it cost?", [_cost(of, gpus * hardware.price_per_gpu_hour)]
    yield "Is it downloading?", _download(of)


def _up(of: str) -> list[Panel]:
    return [
        Panel("Serving", "bool_yes_no", [(f"max(deepseek_supervisor_serving{{{of}}})", "serves")]),
        Panel(
            "Ends of vLLM within an hour",
            "short",
            [(f"sum by (kind) (increase(deepseek_supervisor_failures_total{{{of}}}[1h]))", "{{kind}}")],
        ),
        Panel("No sign of life", "s", [(f"max(deepseek_supervisor_silence_seconds{{{of}}})", "silent for")]),
    ]


def _speed(of: str) -> list[Panel]:
    return [
        Panel(
            "Tokens",
            "short",
            [
                (f"sum(rate(vllm:generation_tokens_total{{{of}}}[{WINDOW}]))", "generated a second"),
                (f"sum(rate(vllm:prompt_tokens_total{{{of}}}[{WINDOW}]))", "of prompts a second"),
            ],
        ),
        Panel("Time to the first token", "s", _quantiles("vllm:time_to_first_token_seconds", of)),
        Panel("Time per further token", "s", _quantiles("vllm:request_time_per_output_token_seconds", of)),
        Panel(
            "Answers a second",
            "reqps",
            [
                (
                    f"sum by (finished_reason) (rate(vllm:request_success_total{{{of}}}[{WINDOW}]))",
                    "{{finished_reason}}",
                )
            ],
        ),
    ]


def _room(of: str) -> list[Panel]:
    return [
        Panel(
            "Requests",
            "short",
            [
                (f"sum(vllm:num_requests_running{{{of}}})", "running"),
                (f"sum(vllm:num_requests_waiting{{{of}}})", "waiting"),
            ],
        ),
        Panel("KV cache in use", "percentunit", [(f"max(vllm:kv_cache_usage_perc{{{of}}})", "in use")]),
        Panel(
            "Requests that lost their place in the KV cache",
            "reqps",
            [(f"sum(rate(vllm:num_preemptions_total{{{of}}}[{WINDOW}]))", "a second")],
        ),
        Panel("Memory of the nodes", "bytes", [(f"max by (pod) (ray_node_mem_used{{{of}}})", "{{pod}}")]),
    ]


def _gpus(of: str) -> list[Panel]:
    return [
        Panel("GPUs at work", "percent", [(f"avg by (pod) (ray_node_gpus_utilization{{{of}}})", "{{pod}}")]),
        Panel("Memory of the GPUs", "mbytes", [(f"sum by (pod) (ray_node_gram_used{{{of}}})", "{{pod}}")]),
    ]


def _door(of: str) -> list[Panel]:
    answers = f'haproxy_frontend_http_responses_total{{{of}, proxy="door"}}'
    return [
        Panel("Answers of the proxies", "reqps", [(f"sum by (code) (rate({answers}[{WINDOW}]))", "{{code}}")]),
        Panel(
            "Connections", "short", [(f'sum(haproxy_frontend_current_sessions{{{of}, proxy="door"}})', "of clients")]
        ),
        Panel(
            "Requests that wait at the proxies",
            "short",
            [(f'sum(haproxy_backend_current_queue{{{of}, proxy="engine"}})', "waiting")],
        ),
    ]


def _users(of: str) -> Panel:
    """Return who uses how much; the metric is that of images/ray-vllm/programs/head/count_tokens.py."""
    tokens = f"sum by (key) (rate(deepseek_tokens_total{{{of}}}[{WINDOW}]))"
    return Panel("Tokens a second by the name of the key", "short", [(tokens, "{{key}}")])


def _cost(of: str, an_hour: float) -> Panel:
    """Return what a million generated tokens cost, in the currency of hardware.pricePerGpuHour."""
    tokens = f"sum(rate(vllm:generation_tokens_total{{{of}}}[{WINDOW}]))"
    return Panel("Cost of a million tokens", "short", [(f"{an_hour:g} / 3600 * 1e6 / ({tokens} > 0)", "generated")])


def _download(of: str) -> list[Panel]:
    states = ("wanted", "received", "verified")
    return [
        Panel(
            "Weights",
            "bytes",
            [(f"sum(deepseek_download_{state}_bytes{{{of}}})", state) for state in states],
        )
    ]


def _quantiles(histogram: str, of: str) -> list[tuple[str, str]]:
    rate = f"sum by (le) (rate({histogram}_bucket{{{of}}}[{WINDOW}]))"
    return [(f"histogram_quantile({share}, {rate})", f"{share:.0%}") for share in (0.5, 0.9, 0.99)]


def dashboard(namespace: str, stack: str, settings: StackSettings) -> str:
    """Return the dashboard of a stack as JSON."""
    found = {
        "uid": f"deepseek-{namespace}"[:40],
        "title": f"Model server {stack} in {namespace}",
        "tags": ["deepseek", "vllm"],
        "schemaVersion": 38,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "panels": list(_placed(namespace, settings)),
    }
    return json.dumps(found, indent=1) + "\n"


def _placed(namespace: str, settings: StackSettings) -> Iterator[Manifest]:
    """Yield Grafana's panels: below each question's title as many beside each other as there are."""
    number = top = 0
    for question, panels in rows(namespace, settings):
        number += 1
        title = {"x": 0, "y": top, "w": COLUMNS, "h": 1}
        yield {"id": number, "type": "row", "title": question, "collapsed": False, "gridPos": title, "panels": []}
        width = COLUMNS // len(panels)
        for place, panel in enumerate(panels):
            number += 1
            yield _graph(panel, number, {"x": place * width, "y": top + 1, "w": width, "h": HEIGHT})
        top += 1 + HEIGHT


def _graph(panel: Panel, number: int, position: Mapping[str, int]) -> Manifest:
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "datasource": DATA_SOURCE,
        "gridPos": position,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": DATA_SOURCE, "expr": query, "legendFormat": legend}
            for place, (query, legend) in enumerate(panel.queries)
        ],
    }
