"""The plan against real starts of vLLM."""

import pytest

from planning.parse import parse
from planning.plan import make_plan
from planning.settings.quantities import GiB
from tests.unit.planning.sizing.measured import LATER_START, ROWS, Row


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_kv_tokens_are_within_three_percent_and_never_one_above(row: Row) -> None:
    planned = make_plan(parse(row.stack())).kv_cache_tokens
    assert 0.97 * row.kv_tokens <= planned <= 1.01 * row.kv_tokens


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_weights_are_within_one_percent(row: Row) -> None:
    ranks = make_plan(parse(row.stack())).ranks
    assert max(rank.weights_bytes for rank in ranks) / GiB == pytest.approx(row.weights_gib, rel=0.002)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_what_vllm_refused_is_refused(row: Row) -> None:
    assert make_plan(parse(row.stack())).fits is not row.refused


def test_a_later_start_holds_more_than_planned() -> None:
    assert make_plan(parse(LATER_START.stack())).kv_cache_tokens < LATER_START.kv_tokens
