"""Of what goes slowly wrong a real Prometheus and Alertmanager tell, and when it is over; the metrics are played."""

import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from components.monitoring.alerts import speed_rule_spec
from planning.parse import parse
from tests.monitoring.alertmanager import running_alertmanager
from tests.monitoring.operator_config import OperatorObjects
from tests.monitoring.played_stack import NAMESPACE, Exporter, played_pods
from tests.monitoring.prometheus import running_prometheus, wait_until
from tests.monitoring.test_prometheus import ADDRESSES, OF_VLLM, exporters
from tests.unit.components.registrations import run, stack_file

STACK = "a100-bf16"
ALERT_AFTER, BOUND_SECONDS = "20s", 120.0
DAY = 86400
MEASURED = {"tokensPerSecond": 1000.0, "requestsAtOnce": 64}
CERTIFICATE_END = "deepseek_endpoint_certificate_end_seconds"
WAITING, CACHE, TOKENS, FIRST_TOKENS, LATE_TOKENS = (
    f"vllm:{name}{{{OF_VLLM}{more}}}"
    for name, more in (
        ("num_requests_waiting", ""),
        ("kv_cache_usage_perc", ""),
        ("generation_tokens_total", ""),
        ("time_to_first_token_seconds_bucket", ',le="1.0"'),
        ("time_to_first_token_seconds_bucket", ',le="60.0"'),
    )
)
SLOWLY_WRONG = {
    "ModelQueueGrows",
    "ModelKvCacheFull",
    "ModelFirstTokenSlow",
    "ModelSlow",
    "ModelDownloadStuck",
    "ModelCertificateEnds",
}


def configured() -> dict[str, Any]:
    return stack_file(STACK) | {
        "deepseek:monitoring": {"prometheusNamespace": "monitoring", "alertAfter": ALERT_AFTER},
        "deepseek:endpoint": {
            "image": f"example.com/haproxy@sha256:{64 * 'a'}",
            "host": "llm.example.com",
            "tlsSecret": "door-tls",
        },
    }


def objects() -> OperatorObjects:
    """Return what the program makes, with the rule that follows its benchmark."""
    registered = OperatorObjects.registered(run(configured()))
    keys = {name.removeprefix("deepseek:"): keys for name, keys in configured().items() if "deepseek:" in name}
    measured = speed_rule_spec(NAMESPACE, STACK, parse(keys), MEASURED)
    return replace(registered, rules=[*registered.rules, {"spec": measured}])


def go_wrong(read: dict[str, Exporter]) -> None:
    vllm = read["vllm"]
    vllm.values[CACHE] = 0.99
    vllm.growing |= {WAITING: 5, TOKENS: 100, FIRST_TOKENS: 0}
    read["download"].values["deepseek_download_wanted_bytes"] = 2e9
    read["endpoint"].values[CERTIFICATE_END] = time.time() + 3 * DAY


def go_well(read: dict[str, Exporter]) -> None:
    vllm = read["vllm"]
    del vllm.growing[WAITING]
    vllm.values |= {CACHE: 0.5, WAITING: 3}
    vllm.growing |= {TOKENS: 900, FIRST_TOKENS: 5}
    read["download"].values["deepseek_download_wanted_bytes"] = 1e9
    read["endpoint"].values[CERTIFICATE_END] = time.time() + 30 * DAY


def test_what_goes_slowly_wrong_is_told_until_it_goes_well(tmp_path: Path) -> None:
    program, read = run(configured()), exporters()
    read["endpoint"].values[CERTIFICATE_END] = time.time() + 30 * DAY
    read["vllm"].growing[LATE_TOKENS] = 5
    with ExitStack() as stopping:
        for server in read.values():
            server.start()
            stopping.callback(server.stop)
        pods = played_pods(program, ADDRESSES)
        alertmanager = stopping.enter_context(running_alertmanager(tmp_path))
        prometheus = stopping.enter_context(
            running_prometheus(tmp_path, objects(), NAMESPACE, pods, alertmanagers=[alertmanager.address])
        )
        assert prometheus.firing() == set()
        go_wrong(read)
        wait_until(lambda: prometheus.firing() >= SLOWLY_WRONG, BOUND_SECONDS)
        assert prometheus.firing() == SLOWLY_WRONG
        wait_until(lambda: alertmanager.names("firing") >= SLOWLY_WRONG)
        assert alertmanager.names("firing") == SLOWLY_WRONG
        for alert in alertmanager.told:
            assert alert["labels"]["namespace"] == NAMESPACE
            assert {"stack", "severity"} <= alert["labels"].keys()
            assert alert["annotations"]["runbook_url"].endswith(f"#{alert['labels']['alertname'].lower()}")
        go_well(read)
        wait_until(lambda: not prometheus.firing(), BOUND_SECONDS)
        assert prometheus.firing() == set()
        wait_until(lambda: alertmanager.names("resolved") >= SLOWLY_WRONG)
        assert alertmanager.names("resolved") == SLOWLY_WRONG
