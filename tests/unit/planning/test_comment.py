"""The comment itself: what a preview may hold that would break it."""

from pathlib import Path
from typing import Any

import pytest

from planning.review import comment as review
from planning.review.preview import Preview, read


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
