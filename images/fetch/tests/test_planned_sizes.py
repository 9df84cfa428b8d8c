"""The weights on the volume against the size that the plan was made with."""

import json
import os
from pathlib import Path

import adopt
import planned_sizes
import pytest
from fetch_pods import Volume

MEBI = 1024**2


def write(path: Path, **tensors: tuple[str, int]) -> None:
    """Write a file whose tensors are holes, each of a type and so many bytes."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (kind, size) in tensors.items():
        header[name] = {"dtype": kind, "shape": [size], "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model of 100 MiB in two files, beside a third that its index does not name."""
    folder = tmp_path / "volume" / "model"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    write(folder / "one.safetensors", a=("F8_E4M3", 60 * MEBI), b=("BF16", 10 * MEBI))
    write(folder / "two.safetensors", c=("BF16", 30 * MEBI))
    write(folder / "other.safetensors", d=("BF16", 50 * MEBI))
    places = {"a": "one.safetensors", "b": "one.safetensors", "c": "two.safetensors"}
    (folder / planned_sizes.INDEX).write_text(json.dumps({"weight_map": places}))
    return folder


@pytest.mark.parametrize("planned", [100 * MEBI, 99.1 * MEBI, 100.9 * MEBI])
def test_weights_of_about_the_planned_size_are_passed_over(folder: Path, planned: float) -> None:
    assert planned_sizes.difference(folder, int(planned)) == ""


@pytest.mark.parametrize(("planned", "share"), [(50, "100.0 % more"), (200, "50.0 % less")])
def test_weights_of_another_size_are_told_with_both_numbers_and_their_types(
    folder: Path, planned: int, share: str
) -> None:
    text = planned_sizes.difference(folder, planned * MEBI)
    assert f"{planned}.0 MiB were planned, and 100.0 MiB arrived (F8_E4M3 60.0 MiB, BF16 40.0 MiB)" in text
    assert f"GPUs hold {share} than the plan" in text


def test_without_an_index_every_file_counts(folder: Path) -> None:
    (folder / planned_sizes.INDEX).unlink()
    assert planned_sizes.difference(folder, 150 * MEBI) == ""


@pytest.mark.parametrize("content", [b"", b"\xff" * 20, (2).to_bytes(8, "little") + b"[]", b"version https://git-lfs"])
def test_a_file_without_a_header_is_told_and_fails_nothing(folder: Path, content: bytes) -> None:
    (folder / "two.safetensors").write_bytes(content)
    assert "cannot be compared with the plan: two.safetensors: " in planned_sizes.difference(folder, MEBI)


def test_a_download_tells_it_at_its_end_and_again_when_it_finds_the_weights_complete(volume: Volume) -> None:
    """The repository of the tests has random bytes, and so no headers."""
    for _ in range(2):
        ended = volume.download(PLANNED_WEIGHTS_BYTES=str(MEBI))
        assert ended.code == 0
        assert "The sizes of the weights cannot be compared with the plan: model-1.safetensors: " in ended.log
    assert "compared with the plan" not in volume.download().log, "nothing was planned"


def test_a_folder_that_somebody_filled_is_compared_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    environment = {
        "MODEL_REPOSITORY": "https://example.com/o/model",
        "MODEL_REVISION": "main",
        "MODEL_DIRECTORY": str(folder),
        "CACHE_DIRECTORY": str(folder.parent / "cache" / "x"),
        "VOLUME": str(folder.parent),
        "TERMINATION_LOG": os.devnull,
        "PLANNED_WEIGHTS_BYTES": str(200 * MEBI),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with caplog.at_level("INFO"):
        assert adopt.main() == 0
    assert "200.0 MiB were planned, and 100.0 MiB arrived" in caplog.text
