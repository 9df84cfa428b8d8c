"""Of each known model the oldest release of vLLM that serves it, and the release of the image that is built."""

import pytest

from planning.sizing.model_file import FOLDER, read
from planning.verdict import model_checks
from tests.unit.planning.stacks import plan

GLM = {"repository": "https://huggingface.co/zai-org/GLM-5.2-FP8"}
H200 = {"gpu": "NVIDIA-H200", "gpusPerNode": 8, "nodes": 2}


def test_every_known_model_has_a_release() -> None:
    files = [read(path) for path in FOLDER.glob("*.json")]
    assert len(files) > 50
    assert [file.repository for file in files if file.least_vllm is None] == []


def test_the_image_that_is_built_serves_each_of_them() -> None:
    for path in FOLDER.glob("*.json"):
        found = plan(model={"repository": f"https://huggingface.co/{read(path).repository}"})
        assert not [problem for problem in found.problems if "needs vLLM" in problem.text], path.name


@pytest.mark.parametrize(("release", "refused"), [("0.9.10", True), ("0.22.9", True), ("0.23.0", False)])
def test_a_model_that_is_newer_than_the_image_is_refused(
    monkeypatch: pytest.MonkeyPatch, release: str, *, refused: bool
) -> None:
    monkeypatch.setattr(model_checks, "VLLM", release)
    problems = [problem for problem in plan(model=GLM, hardware=H200).problems if "needs vLLM" in problem.text]
    assert bool(problems) is refused
    for problem in problems:
        assert problem.key == "model.repository"
        assert problem.text.endswith(
            f"zai-org/GLM-5.2-FP8 needs vLLM 0.23.0, and the image that is built has {release}"
        )


def test_the_release_of_a_finished_image_is_its_makers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_checks, "VLLM", "0.1.0")
    image = {"reference": "registry.example.com/vllm:0.33", "fetchReference": "registry.example.com/fetch:1"}
    found = plan(model=GLM, hardware=H200, image=image)
    assert not [problem for problem in found.problems if "needs vLLM" in problem.text]
