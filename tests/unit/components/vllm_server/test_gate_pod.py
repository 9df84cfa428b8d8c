"""What the gate is told to check."""

import pytest

from tests.unit.components.registrations import Registration, run, stack_file


def gate(**serving: bool) -> Registration:
    config = stack_file("a100-bf16")
    config["deepseek:model"]["repository"] = "https://huggingface.co/deepseek-ai/DeepSeek-V3.2"
    config["deepseek:model"]["planned"] = False
    config["deepseek:serving"] |= serving
    return run(config).one("Job", "gate")


@pytest.mark.parametrize(
    ("serving", "variables"),
    [
        ({}, set[str]()),
        ({"toolCalls": True}, {"TOOL_CALLS"}),
        ({"toolCalls": True, "reasoning": True}, {"TOOL_CALLS", "REASONING"}),
    ],
)
def test_the_gate_checks_the_forms_that_are_on_and_has_the_time_for_it(
    serving: dict[str, bool], variables: set[str]
) -> None:
    job = gate(**serving).inputs["spec"]
    (container,) = job["template"]["spec"]["containers"]
    told = {item["name"]: item.get("value") for item in container["env"]}
    assert {name for name in ("TOOL_CALLS", "REASONING") if told.get(name) == "true"} == variables
    without = gate().inputs["spec"]["activeDeadlineSeconds"]
    assert job["activeDeadlineSeconds"] == without + 300 * len(variables)
