"""What goes when a revision is no longer served, and all that stays."""

import shutil
from pathlib import Path

import pytest
import removal
from inventory import MARKER, Inventory, ModelFile

CONTENT = "weights"


def revision(folder: Path, *, complete: bool = True) -> Path:
    state = folder / ".git" / "fetch"
    state.mkdir(parents=True)
    (folder / "model.safetensors").write_text(CONTENT)
    if complete:
        file = ModelFile("model.safetensors", len(CONTENT), "blob", "digest")
        Inventory("https://example.com/model.git", folder.name, "commit", (file,)).write(state / MARKER)
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    model = tmp_path / "volume" / "model"
    revision(model / "new")
    revision(model / "old")
    return model


@pytest.fixture
def message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TERMINATION_LOG", str(tmp_path / "termination-log"))
    return tmp_path / "termination-log"


def remove(model: Path, monkeypatch: pytest.MonkeyPatch, current: str = "new") -> int:
    monkeypatch.setenv("MODEL", str(model))
    monkeypatch.setenv("CURRENT", current)
    return removal.main()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_other_revisions_go_whole_or_not(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    revision(model / "half", complete=False)
    assert remove(model, monkeypatch) == 0
    assert names(model) == {"new"}
    assert (model / "new" / "model.safetensors").read_text() == CONTENT


def test_another_model_and_what_the_download_did_not_make_stay(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = revision(model.parent / "another" / "main")
    outside = revision(tmp_path / "outside")
    (model / "link").symlink_to(outside)
    (model / "old" / "link").symlink_to(outside)
    (model / "notes").mkdir()
    (model / "README").touch()
    assert remove(model, monkeypatch) == 0
    assert names(model) == {"new", "link", "notes", "README"}
    assert (other / "model.safetensors").exists()
    assert (outside / "model.safetensors").exists()


@pytest.mark.parametrize("current", ["absent", "half", "../model/new", ".", ""])
def test_without_a_complete_current_revision_nothing_goes(
    model: Path, current: str, message: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision(model / "half", complete=False)
    assert remove(model, monkeypatch, current) == 1
    assert names(model) == {"new", "old", "half"}
    assert "nothing was removed" in message.read_text()


def test_an_interrupted_removal_goes_on_and_no_half_revision_has_its_name(
    model: Path, message: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: Path) -> None:
        (path / "model.safetensors").unlink()
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(removal.shutil, "rmtree", interrupted)
        assert remove(model, patched) == 1
    assert "does not work" in message.read_text()
    assert names(model) == {"new", ".removing-old"}
    shutil.copytree(revision(model / "old"), model / ".removing-main")
    assert remove(model, monkeypatch) == 0
    assert names(model) == {"new"}
