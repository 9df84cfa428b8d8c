"""What `make watch` makes of the metrics of pods, by a stand-in of kubectl and real HTTP."""

import io
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from rich.console import Console
from rich.panel import Panel

from components.monitoring.targets import ENDPOINT, SUPERVISOR, VLLM
from local.watch.figures import Readings, figures, state
from local.watch.sources import SOURCES, Failure, StackPods
from local.watch.view import view

KUBECTL = """
import json, pathlib, sys, time
told = json.loads(pathlib.Path(sys.argv[1]).read_text())
command = sys.argv[2:]
if command[0] == "port-forward":
    if command[1] in told["unreachable"]:
        sys.exit("error: unable to forward port")
    print(f"Forwarding from 127.0.0.1:{told['ports'][command[1]]} -> {command[2]}", flush=True)
    time.sleep(60)
elif told["problem"]:
    sys.exit(told["problem"])
elif command[1] == "events":
    print(json.dumps({"items": told["events"]}))
else:
    print(json.dumps({"items": told["pods"].get(command[2].removeprefix("--selector="), [])}))
"""
VLLM_TEXT = """vllm:num_requests_running{engine="0"} %d
vllm:num_requests_running{engine="1"} 2
vllm:num_requests_waiting{engine="0"} 5
vllm:kv_cache_usage_perc{engine="0"} 0.25
vllm:kv_cache_usage_perc{engine="1"} 0.75
# TYPE vllm:generation_tokens counter
vllm:generation_tokens_total{engine="0"} %d
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf"} %d
vllm:time_to_first_token_seconds_count{engine="0"} %d
vllm:time_to_first_token_seconds_sum{engine="0"} %d
"""


def supervisor(*, serving: int, first_start: int = 0, silence: float = 0) -> str:
    return (
        f"deepseek_supervisor_serving {serving}\ndeepseek_supervisor_first_start {first_start}\n"
        f"deepseek_supervisor_silence_seconds {silence}\ndeepseek_supervisor_attempts_total 3\n"
        'deepseek_supervisor_failures_total{kind="exit"} 2\ndeepseek_supervisor_failures_total{kind="hung"} 0\n'
    )


def vllm(*, running: int, generated: int, answers: int, waited: int) -> str:
    return VLLM_TEXT % (running, generated, answers, answers, waited)


def shown(panel: Panel) -> str:
    text = io.StringIO()
    Console(width=100, file=text).print(panel)
    return text.getvalue()


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ("", "no supervisor tells anything"),
        (supervisor(serving=1, silence=8), "serves"),
        (supervisor(serving=1, silence=45), "serves, but has been silent for 45 s"),
        (supervisor(serving=0, first_start=1), "goes up"),
        (supervisor(serving=0), "does not serve; attempt 3 is under way"),
    ],
)
def test_the_state_is_what_the_supervisor_tells(told: str, words: str) -> None:
    assert state(Readings(0, [told])) == words


def test_figures_are_of_all_engines_and_rates_of_the_time_between() -> None:
    before = Readings(100, [vllm(running=1, generated=1000, answers=10, waited=5), supervisor(serving=1)])
    now = Readings(110, [vllm(running=7, generated=5000, answers=14, waited=7), supervisor(serving=1)])
    found = figures(before, now)
    assert (found.running, found.waiting, found.kv_cache) == (9, 5, 0.75)
    assert (found.generated, found.first_token_seconds) == (400, 0.5)
    assert found.at_the_door is None
    assert found.ends == {"exit": 2}


def test_a_counter_that_has_begun_anew_gives_no_negative_rate() -> None:
    before, now = (
        Readings(at, [vllm(running=1, generated=generated, answers=1, waited=1)])
        for at, generated in ((100, 9000), (110, 50))
    )
    assert figures(before, now).generated == 5


def test_what_nothing_tells_is_shown_as_unknown() -> None:
    nothing = Readings(0, [])
    text = shown(view("dev", figures(nothing, nothing), None))
    assert "- running, - waiting" in text
    assert "none within the hour" in text


def test_a_look_has_a_line_for_everything() -> None:
    before = Readings(100, [vllm(running=1, generated=1000, answers=10, waited=5)])
    door = 'haproxy_backend_current_queue{proxy="engine"} 4\nhaproxy_backend_current_queue{proxy="other"} 9\n'
    now = Readings(110, [vllm(running=7, generated=13000, answers=14, waited=7), supervisor(serving=1), door, door])
    text = shown(view("a100", figures(before, now), Failure("2026-11-27T07:00:00Z", "no [token] for 181 s")))
    for line in (
        "a100",
        "serves",
        "9 running, 5 waiting, 8 at the proxies",
        "1,200 generated",
        "after 0.50 s",
        "75% full",
        "exit 2",
        "2026-11-27T07:00:00Z: no [token] for 181 s",
    ):
        assert line in text, text


def test_it_asks_where_the_pods_tell_their_metrics() -> None:
    for source, target in zip(SOURCES, (VLLM, SUPERVISOR, ENDPOINT), strict=True):
        labels = dict(part.split("=") for part in source.labels.split(","))
        assert labels["app.kubernetes.io/component"] == target.component
        assert labels.items() <= target.labels.items() | {("app.kubernetes.io/component", target.component)}
        assert source.port == target.port


@dataclass
class Cluster:
    """What the stand-in of kubectl tells of a cluster with two pods, and the file from which it reads that."""

    file: Path
    port: int
    unreachable: list[str] = field(default_factory=list[str])
    problem: str = ""

    @property
    def kubectl(self) -> list[str]:
        return [sys.executable, "-c", KUBECTL, str(self.file)]

    def write(self) -> None:
        head, serving, _ = (source.labels for source in SOURCES)
        pods = {
            head: [{"metadata": {"name": "head"}}, {"metadata": {"name": "old", "deletionTimestamp": "now"}}],
            serving: [{"metadata": {"name": "serve"}}],
        }
        events = [
            {"lastTimestamp": f"2026-11-27T0{hour}:00:00Z", "message": f"the end at {hour}"} for hour in (5, 7, 6)
        ]
        ports = {f"pod/{name}": self.port for name in ("head", "serve")}
        told = {"pods": pods, "events": events, "ports": ports}
        self.file.write_text(json.dumps({**told, "problem": self.problem, "unreachable": self.unreachable}))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    class Metrics(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = supervisor(serving=1).encode()
            self.send_response(200 if self.path == "/metrics" else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name in the base class
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Metrics)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    played = Cluster(tmp_path / "cluster.json", server.server_address[1])
    played.write()
    yield played
    server.shutdown()
    server.server_close()
    thread.join()


def test_it_reads_the_pods_that_run_through_port_forwards(cluster: Cluster) -> None:
    with StackPods(cluster.kubectl) as pods:
        for _ in range(2):
            assert pods.read().total("deepseek_supervisor_serving") == 2, "of both pods, once each"
        assert pods.last_failure() == Failure("2026-11-27T07:00:00Z", "the end at 7")


def test_a_pod_that_cannot_be_reached_is_left_out(cluster: Cluster) -> None:
    cluster.unreachable.append("pod/head")
    cluster.write()
    with StackPods(cluster.kubectl) as pods:
        assert pods.read().total("deepseek_supervisor_serving") == 1
        cluster.unreachable.clear()
        cluster.write()
        assert pods.read().total("deepseek_supervisor_serving") == 2


def test_what_kubectl_says_is_told(cluster: Cluster) -> None:
    cluster.problem = "error: context was not found"
    cluster.write()
    with StackPods(cluster.kubectl) as pods, pytest.raises(RuntimeError, match="context was not found"):
        pods.read()
