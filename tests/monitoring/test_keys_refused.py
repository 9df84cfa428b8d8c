"""Debian's HAProxy refuses wrong keys, and a real Prometheus that reads it tells of that, until they end."""

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.endpoint.door import Door, Run, running_door, running_engine, status_of
from tests.monitoring.operator_config import OperatorObjects
from tests.monitoring.played_stack import NAMESPACE, played_pods
from tests.monitoring.prometheus import running_prometheus, wait_until
from tests.unit.components.registrations import Program, run, stack_file

ADDRESS = f"127.9.{os.getpid() % 256}.9"
"""Of the loopback, another in each process: the port is that of the pod."""

METRICS = "8404"
KEY = "the-key-of-a-client"
ALERT = "ModelKeysRefused"
PAUSE_SECONDS = 0.1


def configured() -> Program:
    keys = {
        "deepseek:monitoring": {"prometheusNamespace": "monitoring", "alertAfter": "20s"},
        "deepseek:endpoint": {"proxy": True, "image": f"example.com/haproxy@sha256:{64 * 'a'}"},
    }
    return run(stack_file("a100-bf16") | keys)


@contextmanager
def asking(door: Door, key: str) -> Generator[list[int]]:
    """Ask ten times a second within this context; yield the statuses as they come."""
    head = f"GET /v1/models HTTP/1.1\r\nHost: model\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\r\n"
    stopped, statuses = threading.Event(), list[int]()

    def ask() -> None:
        while not stopped.wait(PAUSE_SECONDS):
            statuses.append(status_of(door.send(head.encode())))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield statuses
    finally:
        stopped.set()
        thread.join()


def test_wrong_keys_in_masses_are_told_until_they_end(tmp_path: Path) -> None:
    program = configured()
    at = {f":{METRICS}": f":{METRICS}", f'"${{LISTEN}}:{METRICS}"': f'"{ADDRESS}:{METRICS}"'}
    pods = played_pods(program, {"endpoint": ADDRESS})
    with (
        running_engine() as engine,
        running_door(tmp_path, engine, {"apiKey": KEY}, Run(changed=at)) as door,
        running_prometheus(tmp_path, OperatorObjects.registered(program), NAMESPACE, pods) as prometheus,
    ):
        with asking(door, "another-key-of-a-client") as statuses:
            assert wait_until(lambda: ALERT in prometheus.firing(), 90)
        assert set(statuses) == {401}
        assert wait_until(lambda: ALERT not in prometheus.firing())
