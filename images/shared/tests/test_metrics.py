"""What a Prometheus reads of a program, over HTTP; and a program that can tell nothing."""

import socket
import sys
import urllib.request

import pytest
from metrics import Reading, tell_metrics


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def read(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return answer.read().decode()


def test_each_question_gets_the_values_of_that_moment() -> None:
    port, values = free_port(), {"passing": 1.0, "lasting": 0.0}
    told = [Reading("bytes", "How much.", {"": 7}), Reading("ends_total", "How often.", values, "cause")]
    assert tell_metrics(lambda: told, port) == ""
    assert "# TYPE bytes gauge\nbytes 7.0\n" in read(port)
    assert '# TYPE ends_total counter\nends_total{cause="passing"} 1.0\n' in read(port)
    values["passing"] = 2
    assert 'ends_total{cause="passing"} 2.0\n' in read(port)
    assert "python_info" not in read(port), "only what the program tells"


def test_a_port_that_is_taken_is_told_and_does_not_end_the_program() -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        assert tell_metrics(list[Reading], port).startswith(f"port {port}: ")


def test_an_image_without_the_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    assert tell_metrics(list[Reading], 0) == "the image has no Python package prometheus_client"
