"""What alerts and dashboard ask of the proxies is what Debian's HAProxy tells, with the configuration of the stack."""

import json
import re
import urllib.request
from collections.abc import Iterator

import pytest

from components.monitoring.alerts import rule_spec
from components.monitoring.dashboard import dashboard
from tests.endpoint.door import Door, running_door, running_engine, status_of
from tests.monitoring.promtool import NAMESPACE, SETTINGS, STACK

KEY = "the-key-of-a-client"
SERIES = re.compile(r'(haproxy_\w+)\{namespace="deepseek", ([^}]*)\}')


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with running_engine() as engine, running_door(tmp_path_factory.mktemp("door"), engine, {"apiKey": KEY}) as running:
        yield running


def told(door: Door) -> dict[tuple[str, str], float]:
    """Return the proxy's metrics by name and labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{door.probe_port}/metrics", timeout=5) as answer:
        found = re.findall(r"^(haproxy_\w+)\{([^}]*)\} (\S+)$", answer.read().decode(), re.MULTILINE)
    return {(name, labels): float(value) for name, labels, value in found}


def ask(door: Door, key: str, path: str = "/v1/models") -> int:
    head = f"GET {path} HTTP/1.1\r\nHost: model\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\r\n"
    return status_of(door.send(head.encode()))


def test_every_series_that_is_asked_for_is_there(door: Door) -> None:
    rules = [rule["expr"] for rule in rule_spec(NAMESPACE, STACK, SETTINGS)["groups"][0]["rules"]]
    shown = json.dumps(json.loads(dashboard(NAMESPACE, STACK, SETTINGS)), ensure_ascii=False).replace("\\", "")
    asked = set(SERIES.findall(" ".join([*rules, shown])))
    assert len(asked) >= 4
    metrics = told(door)
    for name, labels in asked:
        wanted = set(labels.split(", "))
        assert any(name == other and wanted <= set(found.split(",")) for other, found in metrics), (name, labels)


def test_a_refused_key_is_counted_where_the_alert_looks_and_nothing_else(door: Door) -> None:
    denied = ("haproxy_frontend_requests_denied_total", 'proxy="door"')
    before = told(door)[denied]
    assert ask(door, "another-key-of-a-client") == 401
    assert told(door)[denied] == before + 1
    for key, path, status in ((KEY, "/v1/models", 200), (KEY, "/v1/nothing", 404), (KEY, "/v1/completions", 405)):
        assert ask(door, key, path) == status
    assert told(door)[denied] == before + 1


def test_every_request_is_counted_where_the_alert_compares(door: Door) -> None:
    requests = ("haproxy_frontend_http_requests_total", 'proxy="door"')
    before = told(door)[requests]
    for key in ("another-key-of-a-client", KEY):
        ask(door, key)
    assert told(door)[requests] == before + 2
