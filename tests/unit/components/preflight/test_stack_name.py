"""Names of stacks that Pulumi takes and that no label of Kubernetes can be."""

import pulumi
import pytest

from components.preflight.stack_name import unusable_name
from tests.unit.components.registrations import run, stack_file


@pytest.mark.parametrize("name", ["prod", "team.A_1", "a--b", "7", 63 * "x"])
def test_a_name_that_a_label_can_be_is_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi, "get_stack", lambda: name)
    assert list(unusable_name()) == []


@pytest.mark.parametrize("name", ["prod-", "_prod", ".prod", 64 * "x"])
def test_a_name_that_no_label_can_be_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi, "get_stack", lambda: name)
    [problem] = unusable_name()
    assert f"'{name}'" in problem.text
    assert "pulumi stack rename" in problem.suggestion


def test_it_is_refused_before_anything_is_created(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi, "get_stack", lambda: "prod-")
    with pytest.raises(pulumi.RunError, match="'prod-' cannot be a label"):
        run(stack_file("a100-bf16"))
