"""The comment on a pull request, from previews that the real engine made (tests/recorders/record_previews.py)."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from planning.review.comment import comment, marker
from planning.review.preview import NotAPreviewError, read

PREVIEWS = Path(__file__).parent / "previews"
CHECKOUT = Path(__file__).resolve().parents[4]
PAGE = CHECKOUT / "docs" / "review.md"
HOLE = re.compile(r"<!-- (\w+\.json) -->\n(?:\n.*?\n)?(?=\n---\n)", re.DOTALL)


def rendered(name: str) -> str:
    return comment(read((PREVIEWS / name).read_text()))


def page() -> str:
    """The page with its recorded previews rendered anew."""
    return HOLE.sub(lambda hole: f"<!-- {hole[1]} -->\n\n{_visible(rendered(hole[1]))}", PAGE.read_text())


def _visible(text: str) -> str:
    return text.split("\n", 1)[1].rstrip("\n") + "\n"


def test_the_page_shows_what_is_rendered() -> None:
    assert "KV tokens" in PAGE.read_text()
    assert PAGE.read_text() == page(), "python -m tests.unit.planning.review.test_review writes it anew"


def test_the_first_line_finds_the_comment_again() -> None:
    assert {rendered(path.name).split("\n", 1)[0] for path in PREVIEWS.glob("*.json")} == {marker("a100-bf16")}


def test_more_nodes_are_told_in_serving_terms() -> None:
    text = rendered("nodes.json")
    assert "| **GPUs** | 32 | **64** |" in text
    assert "**cost an hour 57.6 → 115.2**" in text
    assert "**Serving stops.** The RayCluster is replaced" in text


def test_a_flag_replaces_what_serves_and_leaves_the_ray_cluster() -> None:
    text = rendered("flag.json")
    assert "Serving stops" in text
    assert "RayCluster `deepseek`" not in text


def test_a_revision_is_downloaded_before_serving_stops() -> None:
    assert "download" in rendered("revision.json").lower()


def test_a_refusal_says_what_would_fit_and_that_nothing_happens() -> None:
    text = rendered("refused.json")
    assert "with nothing created, changed or deleted" in text
    assert "try model.repository" in text
    assert "<details>" not in text


def test_a_change_of_nothing_says_so() -> None:
    text = rendered("nothing.json")
    assert "Serving stops" not in text
    assert "→" not in text


def test_the_speed_is_said_to_be_a_prediction_with_its_errors() -> None:
    text = rendered("nodes.json")
    assert "tokens/s at 64 requests 1,220 →" in text
    assert "predicted for vLLM 0.32.0" in text
    assert "off by -23 % to +18 %" in text


def test_the_first_up_is_a_plan_without_a_before() -> None:
    assert "→" not in rendered("first.json").split("<details>")[0]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"steps": 1}', "error: no stack selected"])
def test_what_is_no_preview_is_named_and_no_traceback(text: str) -> None:
    with pytest.raises(NotAPreviewError):
        read(text)


def test_the_command_reads_a_file(tmp_path: Path) -> None:
    recorded = json.loads((PREVIEWS / "nodes.json").read_text())
    file = tmp_path / "preview.json"
    file.write_text(json.dumps(recorded))
    command = [sys.executable, "-B", "-m", "planning.review", str(file)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == rendered("nodes.json")


if __name__ == "__main__":
    PAGE.write_text(page())
