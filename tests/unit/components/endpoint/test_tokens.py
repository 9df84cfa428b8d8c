"""Tokens by the name of the key: who counts, who says whose they are, and what is refused."""

import json
from functools import cache
from typing import Any

import pulumi
import pytest

from tests.unit.components.endpoint.test_endpoint import IMAGE, configured
from tests.unit.components.endpoint.test_keys import TEAM_A, refusal, started
from tests.unit.components.registrations import Program, run

KEYS = {"team-a": TEAM_A}
LIMITS = {"team-a": {"tokensPerMinute": 1000}}


def door(**keys: Any) -> dict[str, Any]:
    return {"proxy": True, "image": IMAGE, **keys}


@cache
def counting() -> Program:
    return started(KEYS, endpoint=door(countTokens=True, keys=LIMITS))


def data_of(program: Program, name: str) -> dict[str, str]:
    return program.one("ConfigMap", name).inputs["data"]


def arguments(program: Program) -> list[str]:
    [container] = program.one("Job", "serve").inputs["spec"]["template"]["spec"]["containers"]
    [text] = [item["value"] for item in container["env"] if item["name"] == "VLLM_ARGUMENTS"]
    return json.loads(text)


def test_vllm_asks_for_the_key_before_it_counts() -> None:
    middleware = [item for item in arguments(counting()) if item.startswith("--middleware")]
    assert middleware == ["--middleware=count_tokens.CountTokens", "--middleware=require_key.RequireKey"]
    assert {"count_tokens.py", "token_usage.py", "token_minute.py"} <= data_of(counting(), "head-programs").keys()


def test_a_limit_of_tokens_needs_no_pod_that_counts_requests() -> None:
    assert not [item.name for item in counting().kubernetes() if "limits" in item.name]
    configuration = data_of(counting(), "deepseek-endpoint")["haproxy.cfg"]
    assert "set-header X-Key-Tokens-Per-Minute 1000 if { var(txn.key) -m str team-a }" in configuration


def test_another_limit_replaces_the_proxies_only() -> None:
    def objects(tokens: int) -> dict[str, str]:
        program = started(KEYS, endpoint=door(countTokens=True, keys={"team-a": {"tokensPerMinute": tokens}}))
        return {item.urn: json.dumps(item.inputs, default=lambda _: "unknown") for item in program.kubernetes()}

    before, after = objects(1000), objects(2000)
    changed = {urn.rpartition("::")[2] for urn in before if before[urn] != after[urn]}
    assert changed <= {"deepseek-endpoint", "deepseek-endpoint-keys", "deepseek-ray-token"}
    assert "deepseek-endpoint" in changed


def test_without_the_key_vllm_has_the_programs_and_arguments_that_it_had() -> None:
    program = started(KEYS, endpoint=door())
    assert "count_tokens.py" not in data_of(program, "head-programs")
    assert [item for item in arguments(program) if "middleware" in item] == ["--middleware=require_key.RequireKey"]
    assert "Tokens" not in data_of(program, "deepseek-endpoint")["haproxy.cfg"]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"keys": LIMITS}, "endpoint.keys.team-a.tokensPerMinute: needs vLLM to count tokens"),
        ({"countTokens": True, "keys": {"team-a": {"tokensPerMinute": 0}}}, "tokensPerMinute: should be greater"),
    ],
)
def test_a_limit_that_nobody_holds_or_that_is_none_is_refused(keys: dict[str, Any], said: str) -> None:
    assert said in refusal(KEYS, endpoint=door(**keys))


@pytest.mark.parametrize(("proxy", "authentication"), [(False, "key"), (True, "none")])
def test_a_count_without_proxies_or_keys_is_refused(*, proxy: bool, authentication: str) -> None:
    config = configured(proxy=proxy, countTokens=True)
    config["deepseek:serving"] = {**config["deepseek:serving"], "authentication": authentication}
    with pytest.raises(pulumi.RunError, match=r"endpoint\.countTokens: needs the proxies and keys"):
        run(config)
