"""The benchmark's Job: only where it is asked for, replaced with what it measures, and allowed what it needs."""

from functools import cache
from typing import Any

import pytest

from tests.unit.components.registrations import Program, Registration, run_with_key, stack_file
from tests.unit.planning.stacks import plan


@cache
def program(stack: str = "a100-bf16", **keys: Any) -> Program:
    return run_with_key(stack_file(stack) | {"deepseek:benchmark": {"enabled": True, **keys}})


def pod() -> dict[str, Any]:
    return program().one("Job", "benchmark").inputs["spec"]["template"]["spec"]


def objects(found: Program) -> dict[str, dict[str, Any]]:
    """Return the objects but for what a build will resolve."""
    return {item.urn: item.inputs for item in found.kubernetes() if not item.name.endswith("-resolved")}


def test_a_stack_without_it_is_as_before_and_one_with_it_changes_nothing_else() -> None:
    without, with_it = objects(run_with_key(stack_file("a100-bf16"))), objects(program())
    assert without == objects(run_with_key(stack_file("a100-bf16") | {"deepseek:benchmark": {"inputTokens": 5}}))
    assert without.items() <= with_it.items()
    added = sorted(urn.rpartition("::")[2] for urn in with_it.keys() - without.keys())
    names = ("-account", "-programs", "-result", "-role", "-role-binding")
    assert added == sorted(["benchmark", *(f"benchmark{name}" for name in names), "deepseek-benchmark"])


def test_it_measures_again_whatever_is_served_anew() -> None:
    found = program()
    job, gate = found.one("Job", "benchmark"), found.one("Job", "gate")
    assert gate.urn in job.request.replace_with
    assert job.request.deleteBeforeReplace
    [component] = [item for item in found.registrations if item.urn == job.request.parent]
    assert gate.urn in component.request.dependencies, "it begins after the gate"


@pytest.mark.parametrize(
    ("key", "value"),
    [("inputTokens", 9), ("outputTokens", 9), ("requestsAtOnce", 9), ("duration", "9s"), ("minimumTokensPerSecond", 9)],
)
def test_each_key_makes_another_job(key: str, value: Any) -> None:
    def name(found: Program) -> Any:
        return found.one("Job", "benchmark").inputs["metadata"]["name"]

    assert name(program(**{key: value})) != name(program())


def test_its_pod_has_the_serving_image_and_goes_where_that_is_and_takes_no_gpu() -> None:
    head = program().one("RayCluster", "deepseek").inputs["spec"]["headGroupSpec"]["template"]["spec"]
    [container] = pod()["containers"]
    assert container["image"] == head["containers"][0]["image"]
    assert pod()["nodeSelector"] == head["nodeSelector"]
    assert "nvidia.com/gpu" not in container["resources"]["limits"]


def test_it_reads_the_model_and_the_key_and_writes_neither() -> None:
    [container] = pod()["containers"]
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert mounts["weights"]["mountPath"] == "/mnt/models/DeepSeek-V3-bf16"
    assert mounts["weights"]["readOnly"]
    assert mounts["api-key"]["readOnly"]
    assert container["securityContext"]["readOnlyRootFilesystem"]


def test_its_account_may_touch_the_result_alone() -> None:
    rules = program().one("Role", "benchmark-role").inputs["rules"]
    result = program().one("ConfigMap", "benchmark-result")
    assert rules == [
        {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "resourceNames": [result.inputs["metadata"]["name"]],
            "verbs": ["get", "patch"],
        }
    ]
    assert "data" in list(result.request.ignoreChanges), "the Job writes it"


def test_the_program_ends_before_its_job() -> None:
    job = program(duration="10m").one("Job", "benchmark").inputs["spec"]
    environment = {item["name"]: item.get("value") for item in job["template"]["spec"]["containers"][0]["env"]}
    assert int(environment["TIMEOUT_SECONDS"]) == 3 * 600 + 600 < job["activeDeadlineSeconds"]


def test_its_pod_reaches_the_model_the_api_server_and_dns() -> None:
    policies: dict[str, Registration] = {
        item.name: item for item in program().kubernetes() if item.type.endswith(":NetworkPolicy")
    }
    own, gate = (policies[f"deepseek-{name}"].inputs["spec"] for name in ("benchmark", "gate"))
    # The gate asks the engine by itself, too.
    assert own["egress"] == gate["egress"][:-1]
    assert "ingress" not in own
    labels = program().one("Job", "benchmark").inputs["spec"]["template"]["metadata"]["labels"]
    assert own["podSelector"]["matchLabels"].items() <= labels.items()


def test_requests_that_are_longer_than_the_longest_are_refused() -> None:
    load = {"enabled": True, "inputTokens": 4000, "outputTokens": 200}
    [problem] = plan(benchmark=load, serving={"maxModelLen": 4096}).problems
    assert problem.key == "benchmark.inputTokens"
    assert "4,200 tokens together, and the longest request is 4,096" in problem.text
    assert plan(benchmark=load | {"enabled": False}, serving={"maxModelLen": 4096}).fits
    assert plan(benchmark=load, serving={"maxModelLen": 4200}).fits
