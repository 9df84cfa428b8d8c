"""The comment itself: what a preview may hold that would break it."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planning.problems import Problem, Refused
from planning.render import as_text
from planning.review import comment as review
from planning.review.preview import Preview, read
from tests.unit.planning.stacks import plan


def test_numbers_that_the_engine_writes_otherwise_are_no_change() -> None:
    assert "**" not in review.plan_table({"cost": 5, "weights": "1"}, {"cost": 5.0, "weights": "1"})


def test_a_stack_file_that_cannot_be_read_keeps_the_plan_that_is() -> None:
    recorded = read((Path(__file__).parent / "previews" / "nodes.json").read_text(encoding="utf-8"))
    text = review.comment(recorded.model_copy(update={"config": {"deepseek:hardware": "["}}))
    assert "| GPUs | 32 |  |" in text
    assert "→" not in text


def test_a_comment_stays_below_the_limit_of_github() -> None:
    urn = "urn:pulumi:s::deepseek::kubernetes:core/v1:ConfigMap::x"
    steps: list[dict[str, Any]] = [
        {"op": "update", "urn": f"{urn}{n}", "detailedDiff": {"y" * 300: {}}} for n in range(5000)
    ]
    said = [
        {"severity": severity, "message": f"{n}" + "*" * length}
        for n in range(200)
        for severity, length in (("warning", 900), ("error", 100_000))
    ]
    changed = review.comment(Preview.model_validate({"steps": steps, "diagnostics": said[::2]}))
    refused = review.comment(Preview.model_validate({"diagnostics": said}))
    assert max(len(changed), len(refused)) < 65_536
    assert changed.count("more\n") == 2, "says how many warnings and resources are left out"
    assert changed.rstrip().endswith("</details>")


TEXTS = st.lists(st.builds("{}{}".format, st.integers(0, 99), st.integers(0, 1200).map("*".__mul__)), max_size=99)


@settings(deadline=None)
@given(texts=TEXTS)
def test_as_many_warnings_are_shown_as_are_told(texts: list[str]) -> None:
    """Those that do not fit are told by their number, and one that is said twice is one."""
    said = [{"severity": "warning", "message": f"warning: {text}\n"} for text in texts]
    shown = review.comment(Preview.model_validate({"diagnostics": said}))
    listed, left_out = shown.count("\n- warning: "), re.search(r"\n- … and (\d+) more\n", shown)
    assert listed + (int(left_out[1]) if left_out else 0) == len(set(texts))


@settings(deadline=None)
@given(lengths=st.lists(st.integers(0, 3000), min_size=1, max_size=99))
def test_as_many_lines_of_a_refusal_are_shown_as_are_told(lengths: list[int]) -> None:
    """Its heading has the number of problems."""
    refused = str(Refused([Problem("key", f"{number}" + "*" * length) for number, length in enumerate(lengths)]))
    shown = review.comment(Preview.model_validate({"diagnostics": [{"severity": "error", "message": refused}]}))
    assert f"the stack file has {len(lengths)} problem" in shown
    listed, left_out = shown.count("\n  key: "), re.search(r"\n… and (\d+) more lines\n", shown)
    assert listed + (int(left_out[1]) if left_out else 0) == len(lengths)


@pytest.mark.parametrize("change", [{}, {"serving": {"enforceEager": True, "authentication": "none"}}])
def test_the_planner_shows_each_warning_once(change: dict[str, Any]) -> None:
    planned = plan(**change)
    assert as_text(planned).count("\n\nnote: ") == len(planned.warnings) == len(set(planned.warnings))
    assert len(planned.warnings) == 1 + 2 * bool(change)


@pytest.mark.parametrize("text", ["", "{}", "error: no stack"])
def test_a_preview_that_never_began_is_a_comment_too(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "preview.json"
    file.write_text(text, encoding="utf-8")
    assert review.main([str(file), "--stack", "h200-fp8"]) == 2
    shown = capsys.readouterr().out
    assert shown.startswith(review.marker("h200-fp8") + "\n")
    assert "**There is no preview.**" in shown


def test_a_better_layout_of_the_same_hardware_is_told() -> None:
    recorded = read((Path(__file__).parent / "previews" / "nodes.json").read_text(encoding="utf-8"))
    assert "- `layout: " in review.comment(recorded)
