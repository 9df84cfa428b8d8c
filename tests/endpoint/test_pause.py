"""What clients hear while the stack is paused."""

import json
from pathlib import Path

import pytest

from tests.endpoint.door import running_door, running_engine, status_of
from tests.endpoint.test_paths import BODY, LENGTH, request

KEYS = {"first": "the-key-of-the-engine"}
WITH_KEY = "Authorization: Bearer the-key-of-the-engine\r\n"


@pytest.mark.parametrize(("method", "target"), [("POST", "/v1/completions"), ("GET", "/v1/models"), ("GET", "/health")])
def test_a_paused_model_is_unavailable_and_says_why_and_when_to_ask_again(
    tmp_path: Path, method: str, target: str
) -> None:
    with running_engine() as engine, running_door(tmp_path, engine, KEYS, paused=True) as door:
        response = door.send(request(method, target, WITH_KEY + LENGTH, BODY))
        head, _, body = response.partition(b"\r\n\r\n")
        assert status_of(response) == 503
        assert head.lower().count(b"retry-after: 60") == head.lower().count(b"retry-after") == 1
        assert json.loads(body)["error"]["code"] == "paused"
        assert "paused" in json.loads(body)["error"]["message"]
        assert not engine.reached


def test_a_pause_is_told_to_nobody_without_a_key(tmp_path: Path) -> None:
    with running_engine() as engine, running_door(tmp_path, engine, KEYS, paused=True) as door:
        assert status_of(door.send(request("POST", "/v1/completions", LENGTH, BODY))) == 401
