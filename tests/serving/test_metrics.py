"""The real vLLM, Ray and supervisor tell what alerts and dashboard ask for; a real Prometheus reads their pods."""

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from local import conversation, dev, paths
from tests.monitoring.prometheus import Prometheus, queries_of_the_dashboard, wait_until
from tests.serving import live
from tests.serving.conftest import Served
from tests.serving.monitored import dashboard, monitored_stack

QUESTIONS = 3


@pytest.fixture(scope="module")
def prometheus(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    assert served.outputs["endpoint"]
    with monitored_stack(tmp_path_factory.mktemp("prometheus")) as running:
        yield running


def test_every_pod_that_tells_something_is_read_once(prometheus: Prometheus) -> None:
    read = sorted((target["labels"]["job"], target["labels"]["pod"]) for target in prometheus.targets())
    head, worker, supervisor = (live.pod_name(label) for label in (live.HEAD, live.WORKER, live.SUPERVISOR))
    proxies = sorted(("endpoint", pod["metadata"]["name"]) for pod in live.pods(live.PROXY))
    assert len(proxies) == 2
    wanted = [*proxies, ("ray", head), ("ray", worker), ("supervisor", supervisor), ("vllm", head)]
    assert read == [(f"{dev.NAMESPACE}/deepseek-{name}", pod) for name, pod in wanted]
    assert {target["health"] for target in prometheus.targets()} == {"up"}


def test_every_query_gives_data_while_the_model_is_asked(prometheus: Prometheus, served: Served, url: str) -> None:
    queries = [query for query in queries_of_the_dashboard(dashboard()) if "deepseek_download" not in query]
    assert len(queries) > 15
    for _ in range(QUESTIONS):
        assert conversation.ask(url, served.outputs["servedModels"][0]).strip()
    assert wait_until(lambda: all(prometheus.query(query) for query in queries)), [
        query for query in queries if not prometheus.query(query)
    ]
    [served_now] = prometheus.query("max(deepseek_supervisor_serving)")
    assert served_now["value"][1] == "1"
    [tokens] = prometheus.query("sum(rate(vllm:generation_tokens_total[5m]))")
    assert float(tokens["value"][1]) > 0


def test_no_alert_fires_while_it_serves(prometheus: Prometheus) -> None:
    assert wait_until(lambda: {rule["health"] for rule in prometheus.rules()} == {"ok"})
    assert prometheus.firing() == set()


def test_a_person_at_a_terminal_sees_that_it_serves(served: Served) -> None:
    assert served.outputs["endpoint"]
    command = [sys.executable, "-m", "local.watch", dev.STACK, "--once"]
    shown = subprocess.run(command, cwd=paths.CHECKOUT, check=True, capture_output=True, text=True).stdout
    assert re.search(r"state +serves ", shown), shown
    assert re.search(r"requests +\d+ running, \d+ waiting", shown), shown
    assert re.search(r"KV cache +.* \d+% full", shown), shown
