"""What each job of the workflows may do, and on whose code."""

import re

import pytest

from local import versions
from tests.unit.workflows.workflow import FOLDER, steps, workflow

NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
PREVIEW, TEST = workflow("preview"), workflow("test")
OF_A_FORK = "github.event.pull_request.head.repo.full_name != github.repository"
OF_THIS_REPOSITORY = OF_A_FORK.replace("!=", "==")


@pytest.mark.parametrize("name", NAMES)
def test_every_action_and_image_is_named_by_what_cannot_move(name: str) -> None:
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    uses = re.findall(r"uses: (.*)", text)
    assert uses
    for used in uses:
        assert re.match(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used), used
    for image in re.findall(r"image: (.*)", text):
        assert re.search(r"@sha256:[0-9a-f]{64}$", image), image


@pytest.mark.parametrize("name", NAMES)
def test_a_job_may_do_nothing_that_it_does_not_say(name: str) -> None:
    found = workflow(name)
    assert found["permissions"] == {}
    assert all("permissions" in job for job in found["jobs"].values())


@pytest.mark.parametrize("name", NAMES)
def test_no_text_of_a_pull_request_becomes_part_of_a_script(name: str) -> None:
    scripts = [step["run"] for job in workflow(name)["jobs"].values() for step in steps(job) if "run" in step]
    assert scripts
    assert not [text for text in scripts if "${{" in text]


@pytest.mark.parametrize("name", NAMES)
def test_no_checkout_keeps_its_token_or_takes_another_commit_than_its_own(name: str) -> None:
    checkouts = [
        step["with"]
        for job in workflow(name)["jobs"].values()
        for step in steps(job)
        if str(step.get("uses")).startswith("actions/checkout@")
    ]
    assert checkouts
    for options in checkouts:
        assert options.pop("persist-credentials") is False
        assert options.keys() <= {"fetch-depth"}


def test_a_preview_runs_the_default_branch() -> None:
    assert PREVIEW["on"].keys() == {"pull_request_target"}


def test_who_reads_the_pull_request_who_logs_in_and_who_writes_are_three() -> None:
    assert {name: job["permissions"] for name, job in PREVIEW["jobs"].items()} == {
        "proposal": {"contents": "read"},
        "preview": {"contents": "read", "id-token": "write"},
        "comment": {"pull-requests": "write"},
    }


def test_only_the_preview_has_an_environment_and_that_of_forks_is_another() -> None:
    assert [name for name, job in PREVIEW["jobs"].items() if "environment" in job] == ["preview"]
    chosen = PREVIEW["jobs"]["preview"]["environment"]
    assert chosen == f"${{{{ {OF_THIS_REPOSITORY} && 'preview' || 'preview-of-forks' }}}}"


def test_nothing_that_lets_one_in_is_kept_as_a_secret() -> None:
    text = (FOLDER / "preview.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"secrets\.(\w+)", text)) == {"PULUMI_CONFIG_PASSPHRASE"}


def test_the_token_that_writes_reaches_one_step_that_runs_nothing_of_the_checkout() -> None:
    comment = steps(PREVIEW["jobs"]["comment"])
    assert not [step for step in comment if str(step.get("uses")).startswith("actions/checkout@")]
    assert [step.get("name") for step in comment if "github.token" in str(step)] == ["Comment"]
    assert "github.token" not in str(PREVIEW["jobs"]["preview"])


def test_the_workflow_previews_with_the_engine_of_the_tests() -> None:
    (install,) = [step for step in steps(PREVIEW["jobs"]["preview"]) if step.get("name") == "Install Pulumi"]
    assert install["with"]["pulumi-version"] == versions.PULUMI


def test_a_fork_runs_neither_privileged_nor_on_a_runner_of_ones_own() -> None:
    trusted, forks = TEST["jobs"]["test"], TEST["jobs"]["test-of-forks"]
    assert TEST["on"].keys() == {"push", "pull_request"}
    assert trusted["if"] == f"${{{{ github.event_name == 'push' || {OF_THIS_REPOSITORY} }}}}"
    assert forks["if"] == f"${{{{ github.event_name == 'pull_request' && {OF_A_FORK} }}}}"
    assert forks["runs-on"] == "ubuntu-24.04"
    assert "container" not in forks
    assert [name for name, job in TEST["jobs"].items() if "privileged" in str(job)] == ["test"]
