"""What the proxies have to know the engine of a conversation: nothing where there is one engine."""

from functools import cache
from typing import Any

import pytest

from tests.unit.components.endpoint.test_endpoint import IMAGE, configured
from tests.unit.components.endpoint.test_keys import TEAM_A, started
from tests.unit.components.registrations import Program, run

BEFORE = "deepseek-endpoint-b074a627b6e2"
"""The ConfigMap of one engine's proxies, named by a digest of its content, as it was before proxies knew conversations.
Another name restarts the proxies of all stacks: the CHANGELOG has to say so."""


def config_maps(program: Program) -> dict[str, dict[str, Any]]:
    """Return the files of the proxies, and of the pod that counts, by the name of their ConfigMap."""
    return {
        item.inputs["metadata"]["name"]: item.inputs["data"]
        for item in program.kubernetes()
        if item.type.endswith(":ConfigMap") and item.name.startswith("deepseek-endpoint")
    }


@cache
def of_engines(count: int) -> list[dict[str, Any]]:
    endpoint = {"proxy": True, "image": IMAGE, "keys": {"team-a": {"concurrency": 8}}}
    found = config_maps(started({"team-a": TEAM_A}, endpoint=endpoint, serving={"engines": count}))
    assert len(found) == 2, "the proxies, and the pod that counts"
    return [*found.values()]


def test_with_one_engine_the_proxies_stay_as_they_were() -> None:
    assert [*config_maps(run(configured()))] == [BEFORE]


@pytest.mark.parametrize("count", [0, 1])
def test_one_engine_has_all_conversations(count: int) -> None:
    for files in of_engines(count):
        assert files.keys() == {"haproxy.cfg", "bounded_body.lua"}
        assert "conversation" not in files["haproxy.cfg"]


def test_of_several_the_proxies_and_the_pod_that_counts_know_the_one_of_a_conversation() -> None:
    for files in of_engines(2):
        assert files.keys() == {"haproxy.cfg", "bounded_body.lua", "conversation.lua"}
        assert "lua-load-per-thread /configuration/conversation.lua\n" in files["haproxy.cfg"]
        assert files["haproxy.cfg"].count("lua.engine_of_conversation(X-Session-ID)") == 1
