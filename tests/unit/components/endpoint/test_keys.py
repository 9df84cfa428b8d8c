"""Keys by name: what the proxies know of them, where they stand, and what is refused."""

import base64
import hashlib
import json
from typing import Any

import pulumi
import pytest
from pulumi.runtime import rpc

from tests.unit.components.endpoint.test_endpoint import IMAGE
from tests.unit.components.registrations import Program, run, stack_file

OWN, TEAM_A, TEAM_B = "the-api-key-itself", "the-key-of-team-a", "the-key-of-team-b"


def configured(keys: Any, **sections: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = stack_file("a100-bf16") | {"deepseek:apiKey": OWN, "deepseek:apiKeys": keys}
    changed: dict[str, dict[str, Any]] = {"endpoint": {"proxy": True, "image": IMAGE}, **sections}
    for name, changes in changed.items():
        config[f"deepseek:{name}"] = config.get(f"deepseek:{name}", {}) | changes
    return config


def started(keys: Any, **sections: dict[str, Any]) -> Program:
    return run(configured(keys, **sections), secrets=["deepseek:apiKey", "deepseek:apiKeys"])


def refusal(keys: Any, **sections: dict[str, Any]) -> str:
    with pytest.raises(pulumi.RunError) as refused:
        started(keys, **sections)
    return str(refused.value)


def plain(value: Any) -> Any:
    return rpc.unwrap_rpc_secret(value)


def test_the_proxies_have_digests_of_all_keys_and_the_key_that_vllm_wants() -> None:
    program = started({"team-a": TEAM_A, "team-b": TEAM_B})
    data = plain(program.one("Secret", "deepseek-endpoint-keys").inputs["data"])
    found = {name: base64.b64decode(text).decode() for name, text in data.items()}
    names = {OWN: "apiKey", TEAM_A: "team-a", TEAM_B: "team-b"}
    lines = {f"{hashlib.sha256(key.encode()).hexdigest().upper()} {name}" for key, name in names.items()}
    assert set(found["keys.map"].splitlines()) == lines
    assert found["inner"] == OWN


def test_no_key_stands_in_clear_text_outside_a_secret() -> None:
    program = started({"team-a": TEAM_A})
    rest = [item.inputs for item in program.kubernetes() if not item.type.endswith(":Secret")]
    assert len(rest) > 15
    text = json.dumps([*rest, program.outputs], default=str)
    for key in (OWN, TEAM_A):
        assert key not in text
        assert hashlib.sha256(key.encode()).hexdigest() not in text.lower()


def test_another_key_replaces_the_proxies_and_nothing_else() -> None:
    def objects(program: Program) -> dict[str, str]:
        return {
            item.name: json.dumps(item.inputs, default=lambda _: "unknown", sort_keys=True)
            for item in program.kubernetes()
        }

    before, after = objects(started({"team-a": TEAM_A})), objects(started({"team-a": TEAM_A, "team-b": TEAM_B}))
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert changed <= {"deepseek-endpoint", "deepseek-endpoint-keys"}
    assert "deepseek-endpoint-keys" in changed


def test_the_proxies_know_the_generated_key_of_a_stack_without_one() -> None:
    program = run(stack_file("a100-bf16") | {"deepseek:endpoint": {"proxy": True, "image": IMAGE}})
    data = plain(program.one("Secret", "deepseek-endpoint-keys").inputs["data"])
    assert data["inner"] == plain(plain(program.one("Secret", "api-key").inputs["data"])["key"])


def test_without_authentication_the_proxies_know_no_keys() -> None:
    program = run(stack_file("dev") | {"deepseek:endpoint": {"proxy": True}})
    assert not [item for item in program.kubernetes() if item.name == "deepseek-endpoint-keys"]
    assert "INNER_KEY" not in json.dumps([item.inputs for item in program.kubernetes()], default=str)


def test_keys_in_plain_text_are_refused() -> None:
    with pytest.raises(pulumi.RunError, match="apiKeys: is a secret in plain text"):
        run(configured({"team-a": TEAM_A}), secrets=["deepseek:apiKey"])


def test_all_that_is_wrong_with_keys_is_said_at_once_by_key_and_without_the_keys() -> None:
    keys = {"team-a": TEAM_A, "again": TEAM_A, "own": OWN, "short": "fifteen-letters", "Team_C": TEAM_B, "number": 5}
    text = refusal(keys, endpoint={"proxy": False}, hardware={"nodes": -1})
    for fault in (
        "hardware.nodes",
        "apiKeys: needs the proxies",
        "apiKeys.again: is the same key as apiKeys.team-a",
        "apiKeys.own: is the same key as apiKey",
        "apiKeys.short: is shorter than 16",
        "apiKeys: 'Team_C' is no name",
        "apiKeys.number: must be text",
    ):
        assert fault in text
    assert "pulumi config set --secret --path 'deepseek:apiKeys.short'" in text
    for key in (TEAM_A, TEAM_B, OWN, "fifteen-letters"):
        assert key not in text


def test_named_keys_without_authentication_are_refused() -> None:
    assert "serving.authentication is none" in refusal({"team-a": TEAM_A}, serving={"authentication": "none"})


@pytest.mark.parametrize("keys", [["a"], "text", 5])
def test_keys_are_an_object(keys: Any) -> None:
    assert "apiKeys: must be an object" in refusal(keys)
