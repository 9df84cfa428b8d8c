"""The id by which a client finds its request again, asked of the real program."""

import re
from collections.abc import Iterator

import pytest

from components.endpoint.haproxy import REQUEST_ID
from tests.endpoint.door import Door, running_door, running_engine, status_of
from tests.endpoint.test_paths import BODY, LENGTH, request

KEY = "k" * 40
MADE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("door")
    with running_engine() as engine, running_door(folder, engine, {"team-a": KEY}) as running:
        yield running


def ids(response: bytes) -> list[str]:
    head = response.partition(b"\r\n\r\n")[0].decode()
    return re.findall(rf"(?im)^{REQUEST_ID}: (.*?)\r?$", head)


def asked(door: Door, sent: str) -> tuple[list[str], list[str]]:
    """Return the ids that came back and those that reached the engine."""
    door.engine.reached.clear()
    headers = f"Authorization: Bearer {KEY}\r\n{sent}{LENGTH}"
    response = door.send(request("POST", "/v1/chat/completions", headers, BODY))
    assert status_of(response) == 200, response
    [(_, _, reached, _)] = door.engine.reached
    return ids(response), [value for name, value in reached if name.lower() == REQUEST_ID.lower()]


@pytest.mark.parametrize("sent", ["a", "order-17.Retry_2", "x" * 64])
def test_a_plain_id_is_kept(door: Door, sent: str) -> None:
    assert asked(door, f"x-request-id: {sent}\r\n") == ([sent], [sent])


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "X-Request-Id:\r\n",
        f"X-Request-Id: {'x' * 65}\r\n",
        "X-Request-Id: two words\r\n",
        "X-Request-Id: a,b\r\n",
        'X-Request-Id: a"b\r\n',
        "X-Request-Id: a\x1b[31m\r\n",
        "X-Request-Id: a\r\nX-Request-Id: b\r\n",
    ],
)
def test_another_is_replaced(door: Door, sent: str) -> None:
    (told,), (reached,) = asked(door, sent)
    assert MADE.fullmatch(told), told
    assert reached == told
    assert asked(door, sent)[0] != [told], "each request has its own"


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [("GET", "/nothing", 404), ("PUT", "/v1/models", 405), ("GET", "/v1/models", 401), ("OPTIONS", "/v1/models", 204)],
)
def test_a_refusal_has_the_id_too(door: Door, method: str, target: str, status: int) -> None:
    response = door.send(request(method, target, "X-Request-Id: mine\r\n"))
    assert (status_of(response), ids(response)) == (status, ["mine"])
