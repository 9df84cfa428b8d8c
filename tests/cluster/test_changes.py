"""Every key of the stack file, changed on a stack that serves: `up` does what the preview shows and the docs say."""

from collections.abc import Iterator
from typing import cast

import pytest
from _pytest.mark.structures import ParameterSet

from local.cluster.api_server import ApiServer
from local.cluster.simulated import RunningCluster
from planning.settings.sections.base import (
    ANOTHER_CLAIM,
    BOUNDS_ONLY,
    CHECKS_ALL,
    CHECKS_BUILDS,
    CHECKS_DOWNLOAD,
    LATER_STARTS,
    PLAN_ONLY,
    REBUILDS,
    REDOWNLOADS,
    REPLACES_CLUSTER,
    REPLACES_SERVING,
    UPDATES_POLICIES,
)
from tests.cluster.changed.change_checks import lost_claims, overlaps, unexplained, without_effect
from tests.cluster.changed.change_page import PAGE, cells, page, rows
from tests.cluster.changed.change_table import ANEW, NONE, RELOADED, effects, example, keys, out_of_order, row
from tests.cluster.changed.changed_stack import ChangedStack
from tests.cluster.changed.changes import ROUTES, STEPS, Route, Step
from tests.cluster.changed.wanted_by_changes import wanted_by_changes
from tests.cluster.world.stack_objects import changed as changed_resources
from tests.sampling import swept

TEXT = PAGE.read_text(encoding="utf-8")
LINES = list(rows(TEXT))
CELLS = [cells(line) for line in LINES]
DOWNLOADS, BUILDS, RAY = "downloads the weights", "builds the serving image", "starts Ray"
NO_WORK = frozenset[str]()
CLASSES = {
    str(PLAN_ONLY["changing"]): (NO_WORK, NONE),
    str(BOUNDS_ONLY["changing"]): (NO_WORK, NONE),
    str(LATER_STARTS["changing"]): (NO_WORK, NONE),
    str(UPDATES_POLICIES["changing"]): (NO_WORK, NONE),
    str(CHECKS_BUILDS["changing"]): ({BUILDS}, NONE),
    str(CHECKS_ALL["changing"]): ({BUILDS, DOWNLOADS}, NONE),
    str(CHECKS_DOWNLOAD["changing"]): ({DOWNLOADS}, NONE),
    str(REPLACES_SERVING["changing"]): (NO_WORK, RELOADED),
    str(REPLACES_CLUSTER["changing"]): ({RAY}, ANEW),
    str(REDOWNLOADS["changing"]): ({DOWNLOADS, RAY}, ANEW),
    str(ANOTHER_CLAIM["changing"]): ({DOWNLOADS, RAY}, ANEW),
    str(REBUILDS["changing"]): ({BUILDS, DOWNLOADS, RAY}, ANEW),
}
"""What the reference page says of several keys: which work that takes long is done, and for how long nothing serves."""


def kind(step: Step) -> tuple[bool, str]:
    """Return by the page whether a change only does work, and for how long nothing serves."""
    named = [f"`{step}`", example(step)]
    done, without_service = next((found[3:] for found in CELLS if found[:2] == named), ("", NONE))
    return without_service == NONE and (DOWNLOADS in done or BUILDS in done), without_service


def one_of_each_kind() -> list[ParameterSet]:
    """Return all changes, one of each kind in the sample, in the order in which they follow from each other."""
    kinds = [kind(step) for step in STEPS]
    parameters = [
        parameter
        for wanted in sorted(set(kinds))
        for parameter in swept([step for step, found in zip(STEPS, kinds, strict=True) if found == wanted], sample=1)
    ]
    return sorted(parameters, key=lambda parameter: STEPS.index(cast("Step", parameter.values[0])))


@pytest.fixture(scope="module")
def stack(api: ApiServer, cluster: RunningCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChangedStack]:
    changing = ChangedStack(api, cluster.kubeconfig, tmp_path_factory.mktemp("changes"))
    with wanted_by_changes(api):
        yield changing
        changing.end()


def test_every_key_of_the_stack_file_is_changed_once() -> None:
    assert {step.change.key for step in STEPS} == set(keys())


def test_the_page_has_a_row_for_every_change() -> None:
    assert sorted(row[:2] for row in CELLS) == sorted([f"`{step}`", example(step)] for step in STEPS)


def test_the_page_is_what_its_rows_make_of_it() -> None:
    assert page(LINES) == TEXT


@pytest.mark.parametrize(("key", "text"), effects().items(), ids=keys())
def test_the_reference_page_says_what_was_measured(key: str, text: str) -> None:
    rows = [(done, without_service) for name, _, _, done, without_service in CELLS if name == f"`{key}`"]
    assert rows
    if text in CLASSES:
        for done, without_service in rows:
            long_work = {work for work in (DOWNLOADS, BUILDS, RAY) if work in done}
            assert (long_work, without_service) == CLASSES[text]
    else:
        assert ("serving stops" in text) == any(without_service != NONE for _, without_service in rows)
        assert ("download" in text) == any(DOWNLOADS in done for done, _ in rows)


@pytest.mark.parametrize("step", one_of_each_kind())
def test_a_change_does_what_the_preview_shows_and_the_page_says(step: Step, stack: ChangedStack) -> None:
    made = stack.make(step)
    assert made.previewed.operations == made.done.operations
    assert made.previewed.outputs == made.done.outputs
    assert made.done.operations or made.done.outputs or made.told, "a key without effect"
    assert row(made) in LINES
    assert out_of_order(made) == []
    assert overlaps(made) == []
    assert lost_claims(made) == set()
    assert unexplained(made) == {}
    assert without_effect(made) == []


@pytest.mark.parametrize("route", swept(ROUTES, sample=1))
def test_up_again_and_a_preview_after_a_refresh_change_nothing(route: Route, stack: ChangedStack) -> None:
    *_, last = route.steps()
    selected = stack.at(last.after)
    assert changed_resources(selected.up()) == {}
    selected.refresh()
    assert changed_resources(selected.preview(expect_no_changes=True)) == {}
