"""TLS at the door: a renewed certificate holds without a cut answer, and a spoilt one harms nobody."""

import signal
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from components.endpoint.haproxy_sections import CERTIFICATE_END_PATH
from tests.endpoint.certificates import end_of, make_certificate, mount
from tests.endpoint.door import CHUNKS, Door, running_engine, status_of
from tests.endpoint.secured import HOST, Secured, running_secured_door
from tests.endpoint.test_paths import request

STREAM = b'{"stream": true}'
ENDED = (0, 128 + signal.SIGSEGV)
"""Debian's HAProxy 2.6.12 sometimes crashes when it frees its memory, after the last answer (`_fd_delete_orphan`)."""


@pytest.fixture
def secured(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Secured]:
    """A door whose certificate lasts 30 days, or as many as the parameter says."""
    days = getattr(request, "param", 30)
    with running_engine() as engine, running_secured_door(tmp_path, engine, days=days) as door:
        yield door


def test_a_client_that_trusts_the_certificate_is_served(secured: Secured) -> None:
    assert secured.status() == 200
    with secured.connect() as connection:
        assert connection.version() in {"TLSv1.2", "TLSv1.3"}
        assert connection.selected_alpn_protocol() in {None, "http/1.1"}


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_tls_is_refused(secured: Secured, version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context(cafile=secured.folder / "server.pem")
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    raw = socket.create_connection(("127.0.0.1", secured.port), timeout=10)
    with raw, pytest.raises(ssl.SSLError):
        context.wrap_socket(raw, server_hostname=HOST)


def test_a_request_without_tls_is_no_request_there(secured: Secured) -> None:
    with socket.create_connection(("127.0.0.1", secured.port), timeout=5) as connection:
        connection.sendall(request("GET", "/health"))
        assert status_of(connection.recv(65536)) != 200
    assert not secured.door.engine.reached


def test_a_renewed_certificate_holds_and_cuts_no_answer(secured: Secured, tmp_path: Path) -> None:
    first = (secured.folder / "server.pem").read_text()
    failures: list[str] = []
    renewed = threading.Event()

    def ask_on_and_on() -> None:
        while not renewed.is_set():
            try:
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                raw = socket.create_connection(("127.0.0.1", secured.port), timeout=10)
                with context.wrap_socket(raw) as connection:
                    connection.sendall(request("GET", "/health"))
                    failures.extend([] if status_of(connection.recv(65536)) == 200 else ["no answer"])
            except OSError as error:
                failures.append(repr(error))

    asking = [threading.Thread(target=ask_on_and_on) for _ in range(4)]
    with secured.connect() as under_way:
        under_way.sendall(request("POST", "/v1/completions", f"Content-Length: {len(STREAM)}\r\n", STREAM))
        secured.door.engine.next_chunk.release()
        received = under_way.recv(65536)
        for thread in asking:
            thread.start()
        mount(secured.folder, *make_certificate(tmp_path / "second", HOST))
        holds = secured.becomes((secured.folder / "server.pem").read_text())
        renewed.set()
        for thread in asking:
            thread.join()
        assert holds
        secured.door.engine.next_chunk.release(CHUNKS - 1)
        while data := under_way.recv(65536):
            received += data
    assert first != (secured.folder / "server.pem").read_text()
    assert f"data: {CHUNKS - 1}\n\n".encode() in received
    assert not failures


def test_a_spoilt_certificate_leaves_the_last_one_and_the_next_one_holds(secured: Secured, tmp_path: Path) -> None:
    good = (secured.folder / "server.pem").read_text()
    certificate, _ = make_certificate(tmp_path / "spoilt", HOST)
    _, other_key = make_certificate(tmp_path / "other", HOST)
    mount(secured.folder, certificate, other_key)
    time.sleep(4)
    assert secured.presented() == good
    mount(secured.folder, *make_certificate(tmp_path / "third", HOST))
    assert secured.becomes((secured.folder / "server.pem").read_text())
    assert secured.status() == 200


def test_a_proxy_with_tls_ends_with_its_last_answer(secured: Secured) -> None:
    with secured.connect() as under_way:
        under_way.sendall(request("POST", "/v1/completions", f"Content-Length: {len(STREAM)}\r\n", STREAM))
        secured.door.engine.next_chunk.release()
        received = under_way.recv(65536)
        time.sleep(2)  # a master that has just started knows no signals yet; a pod's end comes later
        secured.door.process.send_signal(signal.SIGUSR1)
        time.sleep(0.5)
        assert secured.door.process.poll() is None
        secured.door.engine.next_chunk.release(CHUNKS - 1)
        while data := under_way.recv(65536):
            received += data
    assert received.endswith(b"0\r\n\r\n")
    assert secured.door.process.wait(10) in ENDED


def told_end(door: Door) -> float:
    """Return when the door says that its certificate ends."""
    with urllib.request.urlopen(f"http://127.0.0.1:{door.probe_port}{CERTIFICATE_END_PATH}", timeout=5) as answer:
        name, value = answer.read().decode().split()
    assert name == "deepseek_endpoint_certificate_end_seconds"
    return float(value)


@pytest.mark.parametrize("secured", [1, 400, 11_000], indirect=True)
def test_it_tells_when_its_certificate_ends(secured: Secured) -> None:
    assert told_end(secured.door) == end_of(secured.folder / "server.pem")


def test_the_probe_of_a_door_with_tls_still_answers_nothing_else(secured: Secured) -> None:
    for path, status in (("/metrics", 200), ("/ready", 200), ("/", 404), ("/certificates", 404)):
        with socket.create_connection(("127.0.0.1", secured.door.probe_port), timeout=5) as connection:
            connection.sendall(request("GET", path))
            assert status_of(connection.recv(65536)) == status, path
