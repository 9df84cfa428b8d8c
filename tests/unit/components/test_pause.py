"""A stack with `serving.engines: 0`: what serves is not there, and everything else is as it was."""

from functools import cache
from typing import Any

import pytest

from tests.unit.components.registrations import Program, run, run_with_key, stack_file

STACKS = ("dev", "a100-bf16", "h200-fp8")
PINNED = f"docker.io/library/haproxy:2.6-bookworm@sha256:{64 * '0'}"


def configured(stack: str, engines: int | None, **sections: Any) -> dict[str, Any]:
    config = stack_file(stack) | {"deepseek:benchmark": {"enabled": False}}
    serving = config.get("deepseek:serving", {}) | ({} if engines is None else {"engines": engines})
    return config | {"deepseek:serving": serving} | {f"deepseek:{name}": keys for name, keys in sections.items()}


@cache
def program(stack: str, engines: int | None) -> Program:
    return run_with_key(configured(stack, engines))


@pytest.mark.parametrize("stack", STACKS)
def test_a_pause_takes_away_what_serves_and_changes_nothing_else(stack: str) -> None:
    before, after = program(stack, None).texts(), program(stack, 0).texts()
    assert after.keys() <= before.keys()
    assert {urn.rpartition("$")[2] for urn in after if after[urn] != before[urn]} == {
        "kubernetes:core/v1:ConfigMap::deepseek-endpoint",  # tells clients of the pause
        "kubernetes:apps/v1:Deployment::deepseek-endpoint",
    }
    assert {urn.rpartition("$")[2] for urn in before.keys() - after.keys()} == {
        "kubernetes:ray.io/v1:RayCluster::deepseek",
        "kubernetes:policy/v1:PodDisruptionBudget::deepseek",
        "kubernetes:batch/v1:Job::serve",
        "kubernetes:batch/v1:Job::gate",
        "kubernetes:core/v1:ConfigMap::serve-owner",
        "kubernetes:core/v1:ConfigMap::network-result",
        *(f"kubernetes:core/v1:ConfigMap::{name}-programs" for name in ("head", "serving", "gate")),
        *(f"kubernetes:core/v1:ServiceAccount::{name}-account" for name in ("supervisor", "gate")),
        *(f"kubernetes:rbac.authorization.k8s.io/v1:Role::{name}-role" for name in ("supervisor", "gate")),
        *(
            f"kubernetes:rbac.authorization.k8s.io/v1:RoleBinding::{name}-role-binding"
            for name in ("supervisor", "gate")
        ),
    }


def test_a_pause_keeps_the_outputs_and_plans_no_gpus() -> None:
    serving, paused = program("a100-bf16", None).outputs, program("a100-bf16", 0).outputs
    assert paused.keys() == serving.keys() - {"network"}, "nothing measures the network"
    assert (serving["plan"]["GPUs"], paused["plan"]["GPUs"]) == (32, 0)
    assert paused["service"] == serving["service"]
    assert paused["endpoint"] == "http://deepseek.deepseek:8000"


def test_proxies_stay_and_answer_for_the_model() -> None:
    def configuration(engines: int) -> str:
        stack = run(configured("a100-bf16", engines, endpoint={"proxy": True, "image": PINNED}))
        [text] = [
            item.inputs["data"]["haproxy.cfg"]
            for item in stack.kubernetes()
            if item.name == "deepseek-endpoint" and "data" in item.inputs
        ]
        return text

    assert "The model is paused" in configuration(0)
    assert "The model is paused" not in configuration(1)


def test_what_needs_an_answer_of_the_model_is_not_run_in_a_pause() -> None:
    config = configured("a100-bf16", 0, benchmark={"enabled": True})
    config["deepseek:storage"] |= {"otherRevisions": "remove"}
    names = {item.name for item in run(config).kubernetes() if item.type.endswith(":Job")}
    assert names == {"build-fetch", "build-ray-vllm", "mount", "claim", "download"}
