"""With `authentication: key` no path of vLLM that generates is open without the key, whoever comes past the proxies."""

import contextlib
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from local import conversation, dev, stack
from local.cluster import cluster
from tests.serving import live
from tests.serving.closed_stack import closed_stack
from tests.serving.conftest import Served

OPEN_PATHS = {"/health", "/metrics"}
HTTP_UNAUTHORIZED = 401


@pytest.fixture(scope="module")
def closed(served: Served) -> None:
    """The dev stack asks for a key from this module on.

    test_self_signed.py, test_traces.py and test_two_copies.py ask it with the key, and no other module after this one
    asks it: those of weights/ have stacks of their own. So it is not made open again here, which would replace the
    cluster once more; where it stays up, the end of all tests does that.
    """
    assert served.outputs["endpoint"]
    closed_stack().up(on_output=stack.show)


@pytest.fixture
def url(served: Served, closed: None) -> Iterator[str]:
    """Where vLLM itself answers."""
    del closed
    service = live.engine_service(served.outputs["service"])
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
