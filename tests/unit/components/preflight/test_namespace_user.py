"""What a namespace that has users of its own makes of the configured one."""

import pytest

from components.preflight.namespace_user import outside_the_range
from planning.settings.sections import Scheduling

USERS, GROUPS = "openshift.io/sa.scc.uid-range", "openshift.io/sa.scc.supplemental-groups"


@pytest.mark.parametrize(
    ("annotations", "user"),
    [
        ({}, 1000),
        ({USERS: "1000650000/10000", GROUPS: "1000650000/10000"}, 1000650000),
        ({USERS: "1000650000-1000659999"}, 1000659999),
        ({USERS: "1000/1,2000650000/10000"}, 1000),
        ({USERS: "nonsense"}, 1000),
    ],
)
def test_a_user_of_the_range_is_taken(annotations: dict[str, str], user: int) -> None:
    assert list(outside_the_range(annotations, Scheduling().model_copy(update={"run_as_user": user}))) == []


@pytest.mark.parametrize(
    "annotations",
    [
        {USERS: "1000650000/10000", GROUPS: "1000650000/10000"},
        {USERS: "1000650000-1000659999"},
        {GROUPS: "1000650000/10000"},
    ],
)
def test_another_user_is_refused_with_one_of_the_range(annotations: dict[str, str]) -> None:
    [problem] = outside_the_range(annotations, Scheduling())
    assert "1000 is not among the" in problem.text
    assert "1000650000 to 1000659999" in problem.text
    assert problem.suggestion == "scheduling.runAsUser: 1000650000"
