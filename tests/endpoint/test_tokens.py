"""What a real proxy tells vLLM of a request's key, and that no client can say it in its place."""

from pathlib import Path
from typing import Any

import pytest

from components.endpoint.haproxy import TOKEN_LIMIT
from components.endpoint.limits import KEY_NAME
from tests.endpoint.door import Door, running_door, running_engine, status_of
from tests.endpoint.test_limits import KEYS, asked

LIMITS = {"team-a": 1000}
COUNTING: dict[str, Any] = {"counts_tokens": True, "token_limits": LIMITS}


def told(door: Door) -> list[tuple[str | None, str | None]]:
    """Return name and limit of the requests that reached the engine; each header stands there at most once."""
    found: list[tuple[str | None, str | None]] = []
    for _, _, headers, _ in door.engine.reached:
        named = [(name.lower(), value) for name, value in headers]
        assert len({name for name, _ in named}) == len(named)
        found.append((dict(named).get(KEY_NAME.lower()), dict(named).get(TOKEN_LIMIT.lower())))
    return found


def test_vllm_learns_the_name_of_every_key_and_the_limit_of_those_that_have_one(tmp_path: Path) -> None:
    with running_engine() as engine, running_door(tmp_path, engine, KEYS, **COUNTING) as door:
        assert {status_of(door.send(asked(name))) for name in KEYS} == {200}
        assert told(door) == [("apiKey", None), ("team-a", "1000"), ("team-b", None)]


@pytest.mark.parametrize("name", [KEY_NAME, KEY_NAME.lower(), KEY_NAME.upper()])
@pytest.mark.parametrize("limit", [TOKEN_LIMIT, TOKEN_LIMIT.lower()])
def test_a_client_can_forge_neither(name: str, limit: str, tmp_path: Path) -> None:
    forged = f"{name}: team-b\r\n{name}: apiKey\r\n{limit}: 999999\r\n"
    with running_engine() as engine, running_door(tmp_path, engine, KEYS, **COUNTING) as door:
        for key in ("team-a", "team-b"):
            assert status_of(door.send(asked(key, headers=forged))) == 200
        assert told(door) == [("team-a", "1000"), ("team-b", None)]


def test_where_nothing_is_counted_vllm_learns_no_name_and_none_can_be_forged(tmp_path: Path) -> None:
    with running_engine() as engine, running_door(tmp_path, engine, KEYS) as door:
        assert status_of(door.send(asked("team-a", headers=f"{KEY_NAME}: apiKey\r\n"))) == 200
        assert told(door) == [(None, None)]
