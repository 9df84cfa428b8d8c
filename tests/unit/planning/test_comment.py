"""The comment itself: what a preview may hold that would break it, and how it gets onto the pull request."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from local import versions
from planning import review
from planning.preview import Preview, read

CHECKOUT = Path(__file__).resolve().parents[3]
WORKFLOW: dict[str, Any] = yaml.safe_load((CHECKOUT / ".github/workflows/preview.yaml").read_text(encoding="utf-8"))
STEPS: list[dict[str, Any]] = WORKFLOW["jobs"]["preview"]["steps"]
GH = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in *--paginate*) [ -z "$EXISTING" ] || printf '%s\\n' $EXISTING;; esac
"""


def test_numbers_that_the_engine_writes_otherwise_are_no_change() -> None:
    assert "**" not in review.plan_table({"cost": 5, "weights": "1"}, {"cost": 5.0, "weights": "1"})


def test_a_stack_file_that_cannot_be_read_keeps_the_plan_that_is() -> None:
    recorded = read((Path(__file__).parent / "previews" / "nodes.json").read_text(encoding="utf-8"))
    text = review.comment(recorded.model_copy(update={"config": {"deepseek:hardware": "["}}))
    assert "| GPUs | 32 |  |" in text
    assert "→" not in text


def test_nothing_in_a_message_is_markdown() -> None:
    hostile = "```\n# title | <b>*x*</b> `code` [link](x)"
    assert review.fenced(hostile).startswith("````text\n")
    assert review.inline(hostile) == r"\`\`\` # title \| \<b\>\*x\*\</b\> \`code\` \[link\](x)"


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


@pytest.mark.parametrize(
    ("existing", "call"),
    [("", "--method POST repos/o/r/issues/7/comments"), ("41 42", "--method PATCH repos/o/r/issues/comments/41")],
    ids=["first push", "later push"],
)
def test_the_workflow_updates_its_comment_in_place(existing: str, call: str, tmp_path: Path) -> None:
    (tmp_path / "gh").write_text(GH, encoding="utf-8")
    (tmp_path / "gh").chmod(0o755)
    (tmp_path / "comment.md").write_text(review.marker("a100-bf16") + "\ntext\n", encoding="utf-8")
    calls = tmp_path / "calls"
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_REPOSITORY": "o/r",
        "PULL_REQUEST": "7",
        "EXISTING": existing,
        "CALLS": str(calls),
    }
    subprocess.run(["bash", "-e", "-c", _run("Comment")], env=environment, check=True)
    asked, sent = calls.read_text(encoding="utf-8").splitlines()
    assert "repos/o/r/issues/7/comments" in asked
    assert call in sent
    assert f"body=@{tmp_path}/comment.md" in sent


def test_the_workflow_previews_with_the_engine_of_the_tests() -> None:
    (install,) = [step for step in STEPS if step.get("name") == "Install Pulumi"]
    assert install["with"]["pulumi-version"] == versions.PULUMI


def test_only_the_comment_has_the_token_that_may_write() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert [step.get("name") for step in STEPS if "github.token" in str(step)] == ["Comment"]
    checkouts = [step for step in STEPS if str(step.get("uses")).startswith("actions/checkout@")]
    assert [step["with"]["persist-credentials"] for step in checkouts] == [False]


def _run(name: str) -> str:
    (script,) = [step["run"] for step in STEPS if step.get("name") == name]
    return script
