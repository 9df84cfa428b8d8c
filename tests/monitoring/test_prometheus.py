"""A real Prometheus reads a stack by the PodMonitors that the program makes; an alert fires there and clears again."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.monitoring.operator_config import OperatorObjects
from tests.monitoring.played_stack import NAMESPACE, Exporter, played_pods
from tests.monitoring.prometheus import Prometheus, queries_of_the_dashboard, running_prometheus, wait_until
from tests.unit.components.registrations import Program, run, stack_file

KINDS = ("head", "worker", "serve", "download", "endpoint", "gate")
ADDRESSES = {kind: f"127.9.{os.getpid() % 256}.{n}" for n, kind in enumerate(KINDS, 1)}
"""Of the loopback, others in each process: the ports are those of the pods."""

OF_VLLM = 'engine="0",model_name="m"'
HISTOGRAMS = ("vllm:time_to_first_token_seconds", "vllm:request_time_per_output_token_seconds")
GROWING = {
    f"vllm:generation_tokens_total{{{OF_VLLM}}}": 900,
    f"vllm:prompt_tokens_total{{{OF_VLLM}}}": 4000,
    f"vllm:num_preemptions_total{{{OF_VLLM}}}": 1,
    f'vllm:request_success_total{{{OF_VLLM},finished_reason="stop"}}': 5,
    **{f'deepseek_tokens_total{{key="team-a",kind="{kind}"}}': 400 for kind in ("prompt", "answer")},
    **{f'{name}_bucket{{{OF_VLLM},le="{le}"}}': 5 for name in HISTOGRAMS for le in ("1.0", "+Inf")},
}
VLLM = {
    f"vllm:num_requests_running{{{OF_VLLM}}}": 64,
    f"vllm:num_requests_waiting{{{OF_VLLM}}}": 3,
    f"vllm:kv_cache_usage_perc{{{OF_VLLM}}}": 0.5,
}
RAY = {
    'ray_node_mem_used{ip="10.0.0.1"}': 1e11,
    **{f'ray_node_gpus_utilization{{GpuIndex="{n}"}}': 97 for n in range(2)},
    **{f'ray_node_gram_used{{GpuIndex="{n}"}}': 70_000 for n in range(2)},
}
SILENCE = "deepseek_supervisor_silence_seconds"
SUPERVISOR = {
    "deepseek_supervisor_serving": 1,
    "deepseek_supervisor_first_start": 0,
    "deepseek_supervisor_attempts_total": 1,
    SILENCE: 0,
    'deepseek_supervisor_failures_total{kind="hung"}': 0,
    'deepseek_supervisor_failures_total{kind="exit"}': 2,
}
DOOR = {
    **{f'haproxy_frontend_http_responses_total{{proxy="door",code="{code}xx"}}': 5 for code in (2, 4)},
    **{f'haproxy_frontend_{counted}_total{{proxy="door"}}': 5 for counted in ("http_requests", "requests_denied")},
    'haproxy_frontend_current_sessions{proxy="door"}': 5,
    'haproxy_backend_current_queue{proxy="engine"}': 0,
}
DOWNLOAD = {f"deepseek_download_{state}_bytes": 1e9 for state in ("wanted", "received", "verified")}


def configured() -> Program:
    config = stack_file("a100-bf16")
    config["deepseek:hardware"]["pricePerGpuHour"] = 1.8
    endpoint = {"proxy": True, "image": f"example.com/haproxy@sha256:{64 * 'a'}", "countTokens": True}
    keys = {"deepseek:monitoring": {"prometheusNamespace": "monitoring"}, "deepseek:endpoint": endpoint}
    return run(config | keys)


def exporters() -> dict[str, Exporter]:
    told: dict[str, tuple[str, int, Mapping[str, float], Mapping[str, float]]] = {
        "vllm": ("head", 8000, VLLM, GROWING),
        "ray-head": ("head", 8080, RAY, {}),
        "ray-worker": ("worker", 8080, RAY, {}),
        "supervisor": ("serve", 8001, SUPERVISOR, {}),
        "download": ("download", 8001, DOWNLOAD, {}),
        "endpoint": ("endpoint", 8404, DOOR, {}),
    }
    return {
        name: Exporter(ADDRESSES[kind], port, dict(values), dict(growing))
        for name, (kind, port, values, growing) in told.items()
    }


@dataclass(frozen=True)
class Monitored:
    """A played stack, and a Prometheus that reads it."""

    program: Program
    prometheus: Prometheus
    supervisor: Exporter


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    program, read = configured(), exporters()
    with ExitStack() as stopping:
        for server in read.values():
            server.start()
            stopping.callback(server.stop)
        folder, pods = tmp_path_factory.mktemp("prometheus"), played_pods(program, ADDRESSES)
        prometheus = stopping.enter_context(
            running_prometheus(folder, OperatorObjects.registered(program), NAMESPACE, pods)
        )
        yield Monitored(program, prometheus, read["supervisor"])


def test_it_reads_each_pod_that_tells_something_once_and_no_other(monitored: Monitored) -> None:
    targets = monitored.prometheus.targets()
    assert {target["health"] for target in targets} == {"up"}, targets
    where = {
        "endpoint": ("endpoint", 8404),
        "vllm": ("head", 8000),
        "supervisor": ("serve", 8001),
        "download": ("download", 8001),
    }
    wanted = [(name, kind, port) for name, (kind, port) in where.items()]
    wanted += [("ray", "head", 8080), ("ray", "worker", 8080)]
    found = sorted((target["labels"]["job"], target["scrapeUrl"]) for target in targets)
    assert found == sorted(
        (f"{NAMESPACE}/deepseek-{name}", f"http://{ADDRESSES[kind]}:{port}/metrics") for name, kind, port in wanted
    )


def test_it_takes_every_rule(monitored: Monitored) -> None:
    assert len(monitored.prometheus.rules()) == 8
    assert wait_until(lambda: {rule["health"] for rule in monitored.prometheus.rules()} == {"ok"})


def test_every_query_of_the_dashboard_gives_data(monitored: Monitored) -> None:
    queries = queries_of_the_dashboard(monitored.program.one("ConfigMap", "deepseek-dashboard").inputs)
    assert len(queries) > 20
    assert [query for query in queries if not monitored.prometheus.query(query)] == []


def test_an_alert_fires_and_clears(monitored: Monitored) -> None:
    assert monitored.prometheus.firing() == set()
    began = time.time()
    monitored.supervisor.values[SILENCE] = 120
    assert wait_until(lambda: monitored.prometheus.firing() == {"ModelEngineHangs"})
    [alert] = monitored.prometheus.alerts()
    assert alert["labels"].items() >= {"namespace": NAMESPACE, "severity": "critical"}.items()
    assert alert["annotations"]["runbook_url"].endswith("#modelenginehangs")
    monitored.supervisor.values[SILENCE] = 0
    assert wait_until(lambda: monitored.prometheus.firing() == set())
    [(name, fired)] = monitored.prometheus.fired(began).items()
    assert name == "ModelEngineHangs"
    assert began < fired < time.time()
