"""The real vLLM, Ray and supervisor tell what alerts and dashboard ask for; a real Prometheus reads their pods."""

from collections.abc import Iterator

import pytest

from local import conversation, dev, stack
from tests.monitoring.operator_config import OperatorObjects
from tests.monitoring.prometheus import Prometheus, queries_of_the_dashboard, running_prometheus, wait_until
from tests.serving import live
from tests.serving.conftest import Served
from tests.unit.components.registrations import Program, run

QUESTIONS = 3


@pytest.fixture(scope="module")
def program() -> Program:
    """What monitoring would make for the dev stack; the pods are the same without it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", "/nonexistent/kubeconfig")
        on = {"deepseek:monitoring": {"prometheusNamespace": "monitoring"}}
        return run(stack.configuration(dev.STACK) | on, stack=dev.STACK)


@pytest.fixture(scope="module")
def prometheus(served: Served, program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    assert served.outputs["endpoint"]
    pods = [pod for label in (live.HEAD, live.WORKER, live.SUPERVISOR) for pod in live.pods(label)]
    folder = tmp_path_factory.mktemp("prometheus")
    with running_prometheus(
        folder, OperatorObjects.registered(program), dev.NAMESPACE, pods, interval_seconds=5
    ) as running:
        yield running


def test_every_pod_that_tells_something_is_read_once(prometheus: Prometheus) -> None:
    read = sorted((target["labels"]["job"], target["labels"]["pod"]) for target in prometheus.targets())
    head, worker, supervisor = (live.pod_name(label) for label in (live.HEAD, live.WORKER, live.SUPERVISOR))
    wanted = [("ray", head), ("ray", worker), ("supervisor", supervisor), ("vllm", head)]
    assert read == [(f"{dev.NAMESPACE}/deepseek-{name}", pod) for name, pod in wanted]
    assert {target["health"] for target in prometheus.targets()} == {"up"}


def test_every_query_gives_data_while_the_model_is_asked(
    prometheus: Prometheus, program: Program, served: Served, url: str
) -> None:
    queries = [
        query
        for query in queries_of_the_dashboard(program.one("ConfigMap", "deepseek-dashboard").inputs)
        if "deepseek_download" not in query
    ]
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
