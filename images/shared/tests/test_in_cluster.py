import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.request import build_opener

import in_cluster
import pytest


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Api:
    """An API server: the status and body of all its answers, and the requests that it has seen."""

    reply: tuple[int, str] = (200, "{}")
    cut: int = 0
    """Bytes at the end of each body that it announces and does not send."""

    seen: list[Request] = field(default_factory=list[Request])


class Handler(BaseHTTPRequestHandler):
    api: Api

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.api.seen.append(Request(self.command, self.path, dict(self.headers), body))
        status, text = self.api.reply
        self.send_response(status)
        self.send_header("Content-Length", str(len(text.encode()) + self.api.cut))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_PATCH(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  as the base class has it
        pass


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Api]:
    (tmp_path / "token").write_text("one\n")
    (tmp_path / "namespace").write_text("there")
    stub = Api()
    server = HTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"api": stub}))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setattr(in_cluster, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setattr(in_cluster, "server", lambda: f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(in_cluster, "opener", build_opener)
    yield stub
    server.shutdown()
    server.server_close()


def test_an_object_is_read(api: Api) -> None:
    api.reply = (200, '{"kind": "Job"}')
    assert in_cluster.request("GET", "/apis/x") == {"kind": "Job"}


def test_the_token_is_read_again_each_time(api: Api, tmp_path: Path) -> None:
    in_cluster.request("GET", "/a")
    (tmp_path / "token").write_text("two")
    in_cluster.request("GET", "/a")
    assert [request.headers["Authorization"] for request in api.seen] == ["Bearer one", "Bearer two"]


def test_an_object_is_sent(api: Api) -> None:
    in_cluster.request("PATCH", "/a", {"x": 1}, content_type="application/merge-patch+json")
    request = api.seen[-1]
    assert (request.method, request.path, json.loads(request.body)) == ("PATCH", "/a", {"x": 1})
    assert request.headers["Content-Type"] == "application/merge-patch+json"


def test_text_is_read(api: Api) -> None:
    api.reply = (200, "line\n")
    assert in_cluster.request_text("/log") == "line\n"


@pytest.mark.parametrize(
    ("body", "text"),
    [('{"message": "jobs is forbidden"}', "jobs is forbidden"), ("<html>", "<html>"), ("", "Forbidden")],
)
def test_a_refusal_says_what_was_refused(body: str, text: str, api: Api) -> None:
    api.reply = (403, body)
    with pytest.raises(in_cluster.ApiError, match=f"GET /apis/x: HTTP 403: {text}") as caught:
        in_cluster.request("GET", "/apis/x")
    assert caught.value.status == 403


def test_a_refusal_whose_text_is_cut_is_still_one(api: Api) -> None:
    api.reply, api.cut = (503, "etcd"), 10
    with pytest.raises(in_cluster.ApiError, match="HTTP 503: Service Unavailable, and its body was cut") as caught:
        in_cluster.request("GET", "/apis/x")
    assert caught.value.status == 503


def test_an_answer_that_is_not_json(api: Api) -> None:
    api.reply = (200, "<html>")
    with pytest.raises(in_cluster.ApiError, match="not JSON"):
        in_cluster.request("GET", "/apis/x")


@pytest.mark.usefixtures("api")
def test_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_cluster, "server", lambda: "http://127.0.0.1:9")
    with pytest.raises(in_cluster.ApiError, match=r"no answer.*refused") as caught:
        in_cluster.request("GET", "/apis/x")
    assert caught.value.status == 0


def test_no_service_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(in_cluster, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    in_cluster.opener.cache_clear()
    with pytest.raises(in_cluster.ApiError, match="no service account token"):
        in_cluster.request("GET", "/apis/x")
    with pytest.raises(in_cluster.ApiError, match=r"ca.crt.*no service account token"):
        in_cluster.opener()


def test_outside_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(in_cluster.ApiError, match="KUBERNETES_SERVICE_HOST"):
        in_cluster.request("GET", "/apis/x")


def test_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    for host, url in (("10.0.0.1", "https://10.0.0.1:443"), ("fd00::1", "https://[fd00::1]:443")):
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
        assert in_cluster.server() == url


@pytest.mark.usefixtures("api")
def test_the_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POD_NAMESPACE", raising=False)
    assert in_cluster.namespace() == "there"
    monkeypatch.setenv("POD_NAMESPACE", "here")
    assert in_cluster.namespace() == "here"
