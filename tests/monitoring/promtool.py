"""Runs the alerts of a stack over played metrics, by `promtool test rules`."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import yaml

from components.monitoring.alerts import rule_spec, serving_rule_spec, speed_rule_spec
from components.shared.pods import Manifest
from planning.parse import parse
from planning.settings.sections import StackSettings
from tests.unit.components.registrations import stack_file

NAMESPACE, STACK = "deepseek", "a100-bf16"
STEP_SECONDS = 30
SETTINGS = parse(
    {key.removeprefix("deepseek:"): value for key, value in stack_file(STACK).items() if key.startswith("deepseek:")}
    | {
        "monitoring": {"prometheusNamespace": "monitoring", "firstTokenSeconds": 5.0},
        "endpoint": {
            "proxy": True,
            "image": f"example.com/haproxy@sha256:{64 * 'a'}",
            "host": "llm.example.com",
            "tlsSecret": "door-tls",
        },
    }
)

Series = Mapping[str, str]
"""Values by series, in promtool's notation (`0+10x120`: 0, 10, 20, …), one every STEP_SECONDS."""


MEASURED = {"tokensPerSecond": 1000.0, "requestsAtOnce": 64}


def rules(settings: StackSettings = SETTINGS) -> Manifest:
    """Return the rule file of a stack, with the alerts that follow the gate and a benchmark."""
    specs = (
        rule_spec(NAMESPACE, STACK, settings),
        serving_rule_spec(NAMESPACE, STACK, settings),
        speed_rule_spec(NAMESPACE, STACK, settings, MEASURED),
    )
    return {"groups": [group for spec in specs for group in spec["groups"]]}


def all_rules(settings: StackSettings = SETTINGS) -> list[Manifest]:
    """Return the rules of all groups."""
    return [rule for group in rules(settings)["groups"] for rule in group["rules"]]


def problem(
    folder: Path, series: Series, minute: int, firing: Mapping[str, str], settings: StackSettings = SETTINGS
) -> str:
    """Return how promtool found other alerts than these, and no others, at a minute; nothing if it found them.

    `firing` has the summaries by name, without the name of the stack.
    """
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules(settings)))
    expected = [
        {
            "eval_time": f"{minute}m",
            "alertname": rule["alert"],
            "exp_alerts": [_alert(rule, firing[rule["alert"]])] if rule["alert"] in firing else [],
        }
        for rule in all_rules(settings)
    ]
    assert firing.keys() <= {rule["alert"] for rule in all_rules(settings)}
    test = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": f"{STEP_SECONDS}s",
        "tests": [
            {
                "interval": f"{STEP_SECONDS}s",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "alert_rule_test": expected,
            }
        ],
    }
    (folder / "test.yaml").write_text(yaml.safe_dump(test))
    done = subprocess.run(
        ["promtool", "test", "rules", folder / "test.yaml"], capture_output=True, text=True, check=False
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def _alert(rule: Manifest, summary: str) -> Manifest:
    annotations = {**rule["annotations"], "summary": f"{STACK}: {summary}"}
    return {"exp_labels": rule["labels"], "exp_annotations": annotations}
