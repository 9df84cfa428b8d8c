import socket
import time
from pathlib import Path

import pytest

from local.machine import probes
from local.machine.probes import NoFreePort


def test_a_stranger_that_only_listens_is_not_taken_for_a_healthy_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        assert probes.listens("127.0.0.1", port)
        assert not probes.healthy(port)
        assert not probes.healthy(port, tls=True)
    assert not probes.listens("127.0.0.1", port)


def test_a_unix_socket_listens_or_not(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert not probes.socket_listens(path), "bound, but nobody listens"
        server.listen()
        assert probes.socket_listens(path)


def test_waiting_is_bounded() -> None:
    started = time.monotonic()
    assert not probes.wait_until(lambda: False, 0.1)
    assert time.monotonic() - started < 1.0
    answers = iter([False, True])
    assert probes.wait_until(lambda: next(answers), 1.0)


def test_free_ports_differ_and_can_be_listened_on() -> None:
    ports = probes.free_ports(20)
    assert len(set(ports)) == 20
    for port in ports:
        socket.create_server(("127.0.0.1", port)).close()


def test_no_free_port_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(probes, "FREE_PORTS", range(port, port + 1))
        with pytest.raises(NoFreePort, match=f"every port from {port} to {port} "):
            probes.free_ports(1)
