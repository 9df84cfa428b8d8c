"""The column of docs/changes.md for two engines: one change of each kind is made, and both are watched."""

from collections.abc import Iterator
from typing import Any

import pytest

from local.cluster.api_server import ApiServer
from local.cluster.simulated import RunningCluster
from planning.parse import parse
from planning.plan import make_plan
from planning.problems import Refused
from planning.settings.stack_file import PROJECT
from tests.cluster.changed.change_page import PAGE, cells, rows
from tests.cluster.changed.change_table import NONE, SERVING, WORK, did
from tests.cluster.changed.changed_stack import SECRET_KEYS, ChangedStack, configured
from tests.cluster.changed.changes import STEPS, Keys, Step
from tests.cluster.changed.two_engines import (
    OF_TWO_ENGINES,
    REFUSED,
    TOUCHED,
    of_two_engines,
    stopped_all,
    touched,
    with_two_engines,
)
from tests.cluster.world.watched_objects import Moment
from tests.cluster.world.whole_engines import whole_at_each_moment
from tests.sampling import swept

CELLS = [cells(line) for line in rows(PAGE.read_text(encoding="utf-8"))]
MADE = {f"`{change.key}`" for change in OF_TWO_ENGINES.changes}
GATE, SERVE = "gate-1-0123456789ab", "serve-1-0123456789ab"


@pytest.fixture(scope="module")
def stack(api: ApiServer, cluster: RunningCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChangedStack]:
    changing = ChangedStack(api, cluster.kubeconfig, tmp_path_factory.mktemp("changes"))
    yield changing
    changing.end()


def says(key: str, kind: frozenset[str]) -> str:
    """Return what the page says of the changes of a key that touch the same."""
    found = {
        with_two_engines(key, does, without_service)
        for name, _, _, does, without_service in CELLS
        if name == key and touched(does) == kind
    }
    assert len(found) == 1, f"{key} has no row, or several, of what touches {sorted(kind)}"
    return found.pop()


def is_refused(keys: Keys) -> bool:
    """Whether the plan refuses the stack with these keys."""
    own = {
        key.removeprefix(f"{PROJECT}:"): value
        for key, value in configured(keys).items()
        if key.startswith(f"{PROJECT}:") and key not in SECRET_KEYS
    }
    try:
        return not make_plan(parse(own)).fits
    except Refused:
        return True


def moment(event: str, kind: str, name: str) -> Moment:
    return Moment(0, event, kind, name, name, {})


def test_a_change_of_each_kind_is_made() -> None:
    assert set[str]().union(*TOUCHED.values()) <= {act.text for act in (*WORK, *SERVING)}
    assert {touched(does) for _, _, _, does, _ in CELLS} == {
        touched(does) for key, _, _, does, _ in CELLS if key in MADE
    }


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_the_page_says_which_changes_the_plan_refuses_with_two_engines(step: Step) -> None:
    refused = any(is_refused(keys) for keys in of_two_engines(step))
    for key, _, _, does, without_service in CELLS:
        if key == f"`{step}`":
            assert with_two_engines(key, does, without_service).startswith(REFUSED) == refused


def test_an_engine_is_whole_until_something_of_it_ends_and_again_when_its_gate_is_complete() -> None:
    metadata: dict[str, Any] = {"metadata": {}}
    ray_pod = {"metadata": {"labels": {"ray.io/cluster": "deepseek-1"}}}
    before = {
        ("rayclusters", "deepseek-1"): metadata,
        ("jobs", SERVE): metadata,
        ("pods", "head"): ray_pod,
        ("jobs", GATE): {**metadata, "status": {"completionTime": "2026-11-28T12:00:00Z"}},
    }
    events = (("ADDED", "jobs", "turn-serve-1-0123456789ab"), ("ENDING", "jobs", SERVE), ("ADDED", "jobs", SERVE))
    moments = [*(moment(*event) for event in events), moment("COMPLETE", "jobs", GATE)]
    assert [len(engines) for _, engines in whole_at_each_moment(before, moments)] == [1, 0, 0, 1]
    del before["jobs", GATE]
    assert [len(engines) for _, engines in whole_at_each_moment(before, moments)] == [0, 0, 0, 1]


@pytest.mark.parametrize("step", swept(list(OF_TWO_ENGINES.steps()), sample=1))
def test_one_of_two_engines_is_whole_at_each_moment_of_a_change_if_the_page_says_so(
    step: Step, stack: ChangedStack
) -> None:
    made = stack.make(step)
    assert says(f"`{step}`", touched(did(made))).startswith(NONE) != stopped_all(made)
