"""The dashboard as Grafana's sidecar finds it: whole, in place, and about what the stack has."""

import itertools
import json
from typing import Any

from tests.unit.components.registrations import Program, run, stack_file

ON = {"prometheusNamespace": "monitoring"}


def dashboard(stack: str, **hardware: float) -> dict[str, Any]:
    config = stack_file(stack)
    config["deepseek:hardware"] |= hardware
    return shown(run(config | {"deepseek:monitoring": ON}))


def shown(program: Program) -> dict[str, Any]:
    config_map = program.one("ConfigMap", "deepseek-dashboard").inputs
    assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"
    [(name, text)] = config_map["data"].items()
    assert name.endswith(".json")
    return json.loads(text)


def queries(found: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in found["panels"] for target in panel.get("targets", [])]


def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    at = panel["gridPos"]
    return set(itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])))


def test_panels_have_numbers_of_their_own_and_do_not_cover_each_other() -> None:
    panels = dashboard("a100-bf16", pricePerGpuHour=1.8)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = [cell for panel in panels for cell in cells(panel)]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


def test_each_panel_asks_the_chosen_prometheus_about_this_stack() -> None:
    found = dashboard("a100-bf16")
    [variable] = found["templating"]["list"]
    assert variable["type"] == "datasource"
    for panel in found["panels"]:
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] == f"${{{variable['name']}}}"
            assert 'namespace="deepseek"' in target["expr"]


def test_costs_are_shown_where_there_is_a_price_and_gpus_where_there_are_some() -> None:
    priced, free, cpus = dashboard("a100-bf16", pricePerGpuHour=1.8), dashboard("a100-bf16"), dashboard("dev")
    assert any(query.startswith("57.6 / 3600 * 1e6 / ") for query in queries(priced)), "32 GPUs at 1.8 an hour"
    assert not [query for query in queries(free) if "3600" in query]
    assert any("ray_node_g" in query for query in queries(free))
    assert not [query for query in queries(cpus) if "ray_node_g" in query]


def test_a_prometheus_without_the_operator_gets_it_too() -> None:
    assert shown(run(stack_file("a100-bf16") | {"deepseek:monitoring": ON | {"scrape": "annotations"}}))
