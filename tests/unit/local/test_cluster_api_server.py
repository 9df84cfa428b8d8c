import json
import ssl
import threading
from collections.abc import Generator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from local.cluster.api_server import ApiError, ApiServer
from local.cluster.certificates import Certificates

EVENTS = [{"type": "ADDED", "object": {"n": 1}}, {"type": "MODIFIED", "object": {"n": 2}}]


class FakeKubernetes(BaseHTTPRequestHandler):
    """Answers by path; what it is asked to create or apply comes back."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        answers = {
            "/readyz": "ok",
            "/api/v1/nodes/local": '{"kind": "Node"}',
            "/watched": "".join(json.dumps(event) + "\n" for event in EVENTS),
        }
        if path in answers:
            self._answer(200, answers[path])
        else:
            self._answer(404, json.dumps({"kind": "Status", "message": f"{path} not found"}))

    def do_POST(self) -> None:
        if self.path == "/taken":
            self._answer(409, '{"message": "already exists"}')
        else:
            self._answer(201, self._body())

    def do_PATCH(self) -> None:
        good = self.path.endswith("force=true") and self.headers["Content-Type"] == "application/apply-patch+yaml"
        self._answer(200 if good else 400, self._body())

    def do_DELETE(self) -> None:
        self._answer(404 if self.path == "/gone" else 403, '{"message": "no"}')

    def _body(self) -> str:
        return self.rfile.read(int(self.headers["Content-Length"])).decode()

    def _answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[ApiServer]:
    certificates = Certificates(tmp_path_factory.mktemp("certificates"))
    certificates.ensure(["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.api_server, certificates.api_server_key)
    context.load_verify_locations(certificates.authority)
    context.verify_mode = ssl.CERT_REQUIRED
    with HTTPServer(("127.0.0.1", 0), FakeKubernetes) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield ApiServer(
            url=f"https://127.0.0.1:{server.server_port}",
            authority=certificates.authority,
            certificate=certificates.admin,
            key=certificates.admin_key,
        )
        server.shutdown()
        thread.join()


def test_both_sides_prove_who_they_are_with_the_clusters_certificates(api_server: ApiServer) -> None:
    assert api_server.ready()


def test_one_that_is_not_there_is_not_ready(api_server: ApiServer) -> None:
    assert not replace(api_server, url="https://127.0.0.1:1").ready()


def test_an_object_that_is_not_there_is_none_and_any_other_refusal_an_error(api_server: ApiServer) -> None:
    assert api_server.get("/api/v1/nodes/local") == {"kind": "Node"}
    assert api_server.get("/api/v1/nodes/other") is None
    with pytest.raises(ApiError, match="answered 404: /api/v1/nodes/other not found"):
        api_server.request("GET", "/api/v1/nodes/other")


def test_objects_are_applied_and_created_once(api_server: ApiServer) -> None:
    assert api_server.apply("/api/v1/nodes/local", {"a": 1}) == {"a": 1}
    assert api_server.create("/free", '{"a": 2}') == {"a": 2}
    assert api_server.create("/taken", {"a": 3}) is None


def test_only_the_deletion_of_what_is_gone_may_fail(api_server: ApiServer) -> None:
    api_server.delete("/gone")
    with pytest.raises(ApiError, match="403"):
        api_server.delete("/kept")


def test_a_watch_gives_what_changes_until_it_ends(api_server: ApiServer) -> None:
    assert list(api_server.watch("/watched", "7")) == [("ADDED", {"n": 1}), ("MODIFIED", {"n": 2})]
