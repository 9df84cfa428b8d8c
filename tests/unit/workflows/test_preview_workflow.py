"""The steps of the preview, run on a repository with a hostile pull request."""

import subprocess
from pathlib import Path

import pytest
import yaml

from planning.review.comment import marker
from tests.unit.workflows.workflow import CHECKOUT, command, run, script, workflow

JOBS = workflow("preview")["jobs"]
COPY = script(JOBS["proposal"], "Copy the changed stack files")
PREVIEW = script(JOBS["preview"], "Preview")
COMMENT = script(JOBS["comment"], "Comment")

GH = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in *--paginate*) [ -z "$EXISTING" ] || printf '%s\\n' $EXISTING;; esac
"""
PULUMI = """#!/bin/sh
echo "$* token=$PULUMI_ACCESS_TOKEN" >> "$CALLS"
case "$1" in preview) cat "$RECORDED"; echo "::set-output::of the stack file" >&2;; esac
"""
STACK = "config:\n  kubernetes:context: production\n  deepseek:hardware:\n    nodes: 4\n"


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path) -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=x")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    folder = tmp_path / "origin"
    git(tmp_path, "init", "--quiet", "--initial-branch=main", str(folder))
    for name in ("a", "b", "dev", "gone"):
        (folder / f"Pulumi.{name}.yaml").write_text(STACK)
    (folder / "Makefile").write_text("test:\n")
    commit(folder)
    git(folder, "config", "uploadpack.allowAnySHA1InWant", "true")
    return folder


def copied(tmp_path: Path, origin: Path, head: str) -> subprocess.CompletedProcess[str]:
    git(tmp_path, "clone", "--quiet", "--branch=main", origin.as_uri(), str(tmp_path / "checkout"))
    command(tmp_path, "gh", "#!/bin/sh\n")
    return run(COPY, tmp_path, {"HEAD": head}, tmp_path / "checkout")


def test_only_the_text_of_changed_stack_files_is_copied(tmp_path: Path, origin: Path) -> None:
    git(origin, "switch", "--quiet", "--create=change")
    changed = STACK.replace("nodes: 4", "nodes: 8")
    for name in (
        "Pulumi.a.yaml",
        "Pulumi.new.yaml",
        "Pulumi.dev.yaml",
        "Pulumi.x y.yaml",
        "Pulumi.$(id).yaml",
        "Pulumi.-c.yaml",
    ):
        (origin / name).write_text(changed)
    (origin / "Pulumi.b.yaml").unlink()
    (origin / "Pulumi.b.yaml").symlink_to("/etc/passwd")
    (origin / "Pulumi.gone.yaml").unlink()
    for name in ("Pulumi.yaml", "Makefile", "requirements.txt", ".gitattributes"):
        (origin / name).write_text("hostile")
    (origin / "Pulumi.folder.yaml").mkdir()
    (origin / "Pulumi.folder.yaml" / "Pulumi.c.yaml").write_text(changed)
    head = commit(origin)
    git(origin, "switch", "--quiet", "main")
    (origin / "README.md").write_text("main has gone on")
    (origin / "Pulumi.a.yaml").write_text(f"# main has gone on\n{STACK}")
    commit(origin)

    done = copied(tmp_path, origin, head)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "output").read_text() == 'stacks=["a","new"]\n'
    assert {path.name: path.read_text() for path in (tmp_path / "proposal").iterdir()} == {
        "Pulumi.a.yaml": f"# main has gone on\n{changed}",
        "Pulumi.new.yaml": changed,
    }
    assert (tmp_path / "checkout" / "Makefile").read_text() == "test:\n"
    assert git(tmp_path / "checkout", "status", "--porcelain") == ""


def test_a_pull_request_that_conflicts_is_not_previewed(tmp_path: Path, origin: Path) -> None:
    git(origin, "switch", "--quiet", "--create=change")
    (origin / "Pulumi.a.yaml").write_text(STACK.replace("nodes: 4", "nodes: 8"))
    head = commit(origin)
    git(origin, "switch", "--quiet", "main")
    (origin / "Pulumi.a.yaml").write_text(STACK.replace("nodes: 4", "nodes: 2"))
    commit(origin)
    assert copied(tmp_path, origin, head).returncode != 0
    assert not (tmp_path / "output").exists()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    folder.mkdir()
    (tmp_path / "proposal").mkdir()
    (folder / ".venv").symlink_to(CHECKOUT / ".venv")
    (folder / "planning").symlink_to(CHECKOUT / "planning")
    (folder / "Pulumi.a.yaml").write_text(STACK)
    command(tmp_path, "pulumi", PULUMI)
    return folder


def previewed(tmp_path: Path, checkout: Path, stack: str, proposed: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "proposal" / f"Pulumi.{stack}.yaml").write_text(proposed)
    variables = {
        "STACK": stack,
        "CALLS": str(tmp_path / "calls"),
        "RECORDED": str(CHECKOUT / "tests/unit/planning/review/previews/nodes.json"),
        "KUBECONFIG_TEXT": "",
        "PULUMI_ACCESS_TOKEN": "the-token",
    }
    return run(PREVIEW, tmp_path, variables, checkout)


def test_the_engine_gets_the_cluster_of_the_base_branch(tmp_path: Path, checkout: Path) -> None:
    hostile = "config:\n  kubernetes:kubeconfig: |\n    users: []\n  deepseek:hardware:\n    nodes: 8\n"
    done = previewed(tmp_path, checkout, "a", hostile)
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load((checkout / "Pulumi.a.yaml").read_text()) == yaml.safe_load(
        STACK.replace("nodes: 4", "nodes: 8")
    )
    assert (tmp_path / "calls").read_text().splitlines() == [
        "stack select a token=the-token",
        "preview --stack a --json token=the-token",
    ]
    comment = (tmp_path / "comment.md").read_text()
    assert comment.startswith(marker("a"))
    assert "does not decide it: `kubernetes:context`, `kubernetes:kubeconfig`." in comment
    assert comment == (tmp_path / "summary.md").read_text()


def test_what_the_engine_says_of_the_file_is_no_command_to_the_runner(tmp_path: Path, checkout: Path) -> None:
    log = previewed(tmp_path, checkout, "a", STACK).stdout.splitlines()
    assert log[0].startswith("::stop-commands::")
    assert log[-1] == f"::{log[0].removeprefix('::stop-commands::')}::"


def test_a_stack_that_the_base_branch_does_not_have_gets_no_state(tmp_path: Path, checkout: Path) -> None:
    assert previewed(tmp_path, checkout, "new", STACK).returncode == 0
    assert (tmp_path / "calls").read_text().splitlines() == [
        "stack init new token=",
        "preview --stack new --json token=",
    ]
    assert "The state of the stack was not available" in (tmp_path / "comment.md").read_text()


def test_a_refused_file_is_a_comment_and_the_engine_does_not_see_it(tmp_path: Path, checkout: Path) -> None:
    done = previewed(tmp_path, checkout, "a", "config: {deepseek:model: {name: {secure: v1:key}}}")
    assert done.returncode == 1
    assert not (tmp_path / "calls").exists()
    comment = (tmp_path / "comment.md").read_text()
    assert comment.startswith(marker("a"))
    assert "holds a secure value" in comment


@pytest.mark.parametrize(
    ("existing", "call"),
    [("", "--method POST repos/o/r/issues/7/comments"), ("41 42", "--method PATCH repos/o/r/issues/comments/41")],
    ids=["first push", "later push"],
)
def test_the_workflow_updates_its_comment_in_place(existing: str, call: str, tmp_path: Path) -> None:
    command(tmp_path, "gh", GH)
    (tmp_path / "comment.md").write_text(marker("a100-bf16") + "\ntext\n", encoding="utf-8")
    calls = tmp_path / "calls"
    variables = {"GITHUB_REPOSITORY": "o/r", "PULL_REQUEST": "7", "EXISTING": existing, "CALLS": str(calls)}
    assert run(COMMENT, tmp_path, variables).returncode == 0
    asked, sent = calls.read_text(encoding="utf-8").splitlines()
    assert "repos/o/r/issues/7/comments" in asked
    assert call in sent
    assert f"body=@{tmp_path}/comment.md" in sent
