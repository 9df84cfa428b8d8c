"""With `authentication: key` no path of vLLM that generates is open without the key, whoever comes past the proxies."""

import contextlib
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from local import conversation, dev
from local.cluster import cluster
from tests.serving import live
from tests.serving.conftest import Served

OPEN_PATHS = {"/health", "/metrics"}
HTTP_UNAUTHORIZED = 401


@pytest.fixture
def url(closed: Served) -> Iterator[str]:
    """Where vLLM itself answers."""
    service = live.engine_service(closed.outputs["service"])
    with conversation.forwarded(cluster.KUBECONFIG, dev.NAMESPACE, service) as base:
        yield base


def test_every_path_but_health_and_metrics_wants_the_key(url: str) -> None:
    paths = json.loads(_get(f"{url}/openapi.json", live.api_key()))["paths"]
    assert "/v1/chat/completions" in paths
    operations = [(path, method) for path, methods in paths.items() for method in methods]
    answered = {path for path, method in operations if _status(url + path, method) != HTTP_UNAUTHORIZED}
    assert answered == OPEN_PATHS & paths.keys()
    assert _status(f"{url}/invocations", "post") == HTTP_UNAUTHORIZED


def test_a_bearer_without_a_key_and_two_headers_with_it_are_refused(url: str) -> None:
    right = f"Bearer {live.api_key()}"
    assert _status_with(url, right) == http.HTTPStatus.OK
    for headers in ((), ("Bearer",), ("Bearer ",), (right, right), (right, "Bearer"), ("Bearer x", right)):
        assert _status_with(url, *headers) == HTTP_UNAUTHORIZED, headers


def _status_with(url: str, *authorization: str) -> int:
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
    connection.putrequest("GET", "/v1/models")
    for value in authorization:
        connection.putheader("Authorization", value)
    connection.endheaders()
    with contextlib.closing(connection):
        return connection.getresponse().status


def _get(url: str, key: str) -> bytes:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=60) as response:
        return response.read()


def _status(url: str, method: str) -> int:
    request = urllib.request.Request(url.replace("{", "").replace("}", ""), method=method.upper())
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code
