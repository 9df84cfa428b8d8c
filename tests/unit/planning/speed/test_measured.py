"""The prediction against what was measured (bench/gpu/rows.json)."""

from dataclasses import replace

import pytest

from bench.gpu.fit import FITS, distance
from bench.gpu.model import FIRST_TOKEN, tokenizer_of
from bench.gpu.predicted import RATE, Compared, Row, compared, divided_rows, fitted_rows, kept_aside
from bench.gpu.tables import PAGE, TABLES, page
from planning.speed.efficiency import FITTED, OFF_BY

RATES, TIMES = 0.25, 0.4
"""What docs/speed.md promises: by how much the prediction may be off."""
FOUND = [found for row in (*fitted_rows(), *divided_rows(), *kept_aside()) for found in compared(row)]


def named(found: Compared) -> str:
    asked = f"{found.load['at_once']} of {found.load['prompt_tokens']}"
    return f"{found.row['gpu']['name']}, {found.row['layers']} layers, {asked}, {found.what}"


@pytest.mark.parametrize("found", FOUND, ids=named)
def test_the_prediction_is_as_near_to_a_row_as_the_page_promises(found: Compared) -> None:
    assert abs(found.off) <= (RATES if found.what == RATE else TIMES)


def test_rows_were_kept_aside_that_differ_from_those_fitted_to() -> None:
    def differing(row: Row) -> tuple[object, ...]:
        return row["gpu"]["name"], row["layers"], row["serving"].get("pipelineParallelSize", 1)

    fitted_to = set(map(differing, fitted_rows()))
    assert len(set(map(differing, kept_aside())) - fitted_to) >= 3


@pytest.mark.parametrize("number", FITS)
@pytest.mark.parametrize("by", [0.9, 1.1])
def test_no_other_number_is_nearer_to_the_row(number: str, by: float) -> None:
    rows, changed = FITS[number](), replace(FITTED, **{number: getattr(FITTED, number) * by})
    assert distance(changed, rows) > 0.99 * distance(FITTED, rows)


def test_what_reviewers_are_told_of_its_errors_is_what_the_rows_show() -> None:
    off = [found.off for found in FOUND if found.what == RATE and not found.decoding]
    assert (round(min(off), 2), round(max(off), 2)) == OFF_BY


def test_a_load_that_was_slow_by_decoding_was_not_fitted_to() -> None:
    decoding = {(found.load["at_once"], found.load["prompt_tokens"]) for found in FOUND if found.decoding}
    assert decoding == {(1, 15000), (64, 4000), (1024, 200)}


def test_the_tables_of_the_page_are_made_from_the_rows() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"<!-- recorded: {name} -->" in text for name in TABLES)
    assert page(text) == text, "python -m tests.recorders.record_speed writes them"


def test_every_token_of_an_answer_is_text_where_rows_are_measured() -> None:
    words = tokenizer_of(129_280)["model"]["vocab"]
    assert sorted(words.values()) == list(range(129_280))
    assert len(words) > FIRST_TOKEN + 256
