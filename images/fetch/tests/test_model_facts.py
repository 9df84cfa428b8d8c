"""The model's own file of planning/models, from what arrived on the volume."""

import json
from pathlib import Path
from typing import Any

import in_cluster
import model_facts
import pytest
import tiny_model
from download_settings import DownloadSettings, from_environment
from fetch_pods import Volume

from planning.headers.__main__ import main as make_model
from planning.sizing.model_file import FOLDER

COMMIT = "c" * 40
NAME = "tiny/DeepSeek-V3-tiny"
PLANNED = "planned.json"


@pytest.fixture
def download(tmp_path: Path) -> DownloadSettings:
    """The tiny model on a volume, at a commit."""
    folder = tmp_path / "model" / "main"
    folder.mkdir(parents=True)
    tiny_model.write_model(folder)
    state = folder / ".git" / "fetch"
    state.mkdir(parents=True)
    marker = {"repository": "r", "revision": "main", "commit": COMMIT, "files": list[str]()}
    (state / "complete.json").write_text(json.dumps(marker))
    plan = tmp_path / "plan"
    plan.mkdir()
    (plan / PLANNED).write_text("")
    return from_environment(
        {
            "MODEL_REPOSITORY": f"https://models.example.com/{NAME}",
            "MODEL_REVISION": "main",
            "MODEL_DIRECTORY": str(folder),
            "VOLUME": str(tmp_path),
            "POD_NAMESPACE": "n",
            "MODEL_NAME": NAME,
            "MODEL_FILE": "model-file",
            "PLANNED_MODEL_FILE": str(plan / PLANNED),
        }
    )


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was written into the ConfigMap."""
    found: list[dict[str, Any]] = []

    def request(method: str, path: str, body: Any, content_type: str) -> dict[str, Any]:
        assert (method, path) == ("PATCH", "/api/v1/namespaces/n/configmaps/model-file")
        assert content_type == "application/merge-patch+json"
        found.append(json.loads(body["data"]["model.json"]))
        return {}

    monkeypatch.setattr(in_cluster, "request", request)
    return found


def test_it_is_the_file_that_make_model_writes(
    download: DownloadSettings, kept: list[dict[str, Any]], tmp_path: Path
) -> None:
    model_facts.keep(download)
    made = tmp_path / "models"
    made.mkdir()
    assert make_model([download.repository, COMMIT, f"--folder={download.directory}"], made) == 0
    [path] = made.iterdir()
    assert kept == [json.loads(path.read_text())]
    assert (kept[0]["source"], kept[0]["commit"], kept[0]["repository"]) == ("headers", COMMIT, NAME)


def test_tensors_that_were_planned_say_nothing(
    download: DownloadSettings, kept: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        model_facts.keep(download)
        (download.volume / "plan" / PLANNED).write_text(json.dumps(kept[0]))
        model_facts.keep(download)
    assert "not those that were planned" not in caplog.text
    assert caplog.text.count("is in ConfigMap model-file") == 2


def test_other_tensors_of_the_same_size_are_told_by_kind_and_type(
    download: DownloadSettings, kept: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    model_facts.keep(download)
    planned = kept[0]
    for line in (line for layers in planned["layers"] for line in layers["tensors"] if line["kind"] == "experts"):
        line["type"] = "F8_E4M3"
    (download.volume / "plan" / PLANNED).write_text(json.dumps(planned))
    with caplog.at_level("INFO"):
        model_facts.keep(download)
    assert "The tensors are not those that were planned (experts in BF16: 0 B planned, " in caplog.text
    assert "experts in F8_E4M3: " in caplog.text
    assert "; attention" not in caplog.text


def test_every_file_of_planning_models_that_has_sums_can_be_compared() -> None:
    files = [json.loads(path.read_text()) for path in FOLDER.glob("*.json")]
    with_sums = [file for file in files if file.get("layers")]
    assert len(with_sums) > 10
    assert {model_facts.difference(file, file) for file in with_sums} == {""}


@pytest.mark.parametrize("model_type", ["llama_of_tomorrow", None])
def test_a_model_that_cannot_be_planned_is_downloaded_all_the_same(
    model_type: str | None, download: DownloadSettings, kept: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    config = download.directory / "config.json"
    if model_type:
        config.write_text(json.dumps({**json.loads(config.read_text()), "model_type": model_type}))
    else:
        config.unlink()
    with caplog.at_level("INFO"):
        model_facts.keep(download)
    assert "No file of planning/models was made of what arrived: " in caplog.text
    assert kept == []


def test_a_fault_of_the_program_does_not_fail_a_download(
    download: DownloadSettings, kept: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    (download.volume / "plan" / PLANNED).write_text('{"layers": 7}')
    with caplog.at_level("INFO"):
        model_facts.keep(download)
    assert "A fault of the program kept it from making a file of planning/models" in caplog.text
    assert kept == []


def test_an_api_server_that_refuses_it_is_told(
    download: DownloadSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> dict[str, Any]:
        raise in_cluster.ApiError(403, "forbidden")

    monkeypatch.setattr(in_cluster, "request", refuse)
    with caplog.at_level("INFO"):
        model_facts.keep(download)
    assert "could not be kept in ConfigMap model-file: forbidden" in caplog.text


def test_a_pod_does_it_at_the_end_of_its_download(volume: Volume, tmp_path: Path) -> None:
    """The repository of the tests has files of random bytes and no index."""
    ended = volume.download(MODEL_FILE="model-file", MODEL_NAME=NAME, PLANNED_MODEL_FILE=str(tmp_path / PLANNED))
    assert ended.code == 0
    assert "No file of planning/models was made of what arrived: " in ended.log
    assert "model.safetensors" in ended.log
    assert "planning/models" not in volume.download().log, "outside of a stack nobody keeps it"
