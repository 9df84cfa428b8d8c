"""A folder of weights that somebody filled is adopted: whole, unchanged, and read once."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import adopt
import pytest
from download_program import LASTING

SHARDS = {"model-1.safetensors": 5000, "model-2.safetensors": 70}
NAME = "models/V3"


def safetensors(size: int) -> bytes:
    header = json.dumps({"__metadata__": {"format": "pt"}, "w": {"dtype": "U8", "data_offsets": [0, size]}}).encode()
    return len(header).to_bytes(8, "little") + header + os.urandom(size)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "volume" / NAME
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    for name, size in SHARDS.items():
        (folder / name).write_bytes(safetensors(size))
    weights = {f"w{number}": name for number, name in enumerate(SHARDS)}
    (folder / adopt.INDEX).write_text(json.dumps({"weight_map": weights}))
    return folder


Adopt = Callable[..., tuple[int, str]]


@pytest.fixture
def run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Adopt:
    """Run the program; return its exit code and its last words."""
    said = tmp_path / "termination-log"

    def run(**variables: str) -> tuple[int, str]:
        said.write_text("")
        environment = {
            "MODEL_REPOSITORY": "https://example.com/o/V3",
            "MODEL_REVISION": "main",
            "MODEL_DIRECTORY": str(folder),
            "CACHE_DIRECTORY": str(tmp_path / "volume" / "cache" / "x"),
            "VOLUME": str(tmp_path / "volume"),
            "TERMINATION_LOG": str(said),
            **variables,
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return adopt.main(), said.read_text()

    return run


def manifest(folder: Path) -> Path:
    return folder.parents[1] / "adopted" / "models+V3.json"


def test_every_file_is_in_the_manifest_with_its_digest(folder: Path, run: Adopt) -> None:
    assert run() == (0, "")
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    assert {path: file["sha256"] for path, file in json.loads(manifest(folder).read_text()).items()} == digests
    assert [path.name for path in manifest(folder).parent.iterdir() if path.suffix == ".json"] == ["models+V3.json"]
    assert (folder.parents[1] / "cache" / "x").is_dir()


def test_a_later_run_reads_no_content(run: Adopt, monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    monkeypatch.delattr(adopt, "digest_of")
    assert run() == (0, "")


def test_what_changed_since_is_refused(folder: Path, run: Adopt) -> None:
    run()
    (folder / "config.json").write_text("{ }")
    code, said = run()
    assert code == LASTING
    assert "config.json differs" in said
    assert "remove adopted/models+V3.json" in said
    manifest(folder).unlink()
    assert run() == (0, "")


def test_a_file_that_came_since_is_refused(folder: Path, run: Adopt) -> None:
    run()
    (folder / "more.py").write_text("")
    assert "more.py differs" in run()[1]


def test_a_flipped_bit_is_found_when_everything_is_read_again(folder: Path, run: Adopt) -> None:
    run()
    path = folder / "model-1.safetensors"
    times, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert run() == (0, ""), "size and time are as they were"
    code, said = run(VERIFY="full")
    assert code == LASTING
    assert "model-1.safetensors differs" in said


def test_a_run_that_was_killed_goes_on(folder: Path, run: Adopt, monkeypatch: pytest.MonkeyPatch) -> None:
    digest_of, read = adopt.digest_of, list[str]()

    def killed(path: Path, counter: adopt.Counter) -> str:
        if path.name == "model-2.safetensors":
            raise SystemExit(143)
        return digest_of(path, counter)

    def noted(path: Path, counter: adopt.Counter) -> str:
        read.append(path.name)
        return digest_of(path, counter)

    monkeypatch.setattr(adopt, "THREADS", 1)
    monkeypatch.setattr(adopt, "digest_of", killed)
    with pytest.raises(SystemExit):
        run()
    assert not manifest(folder).exists()
    monkeypatch.setattr(adopt, "digest_of", noted)
    assert run() == (0, "")
    assert "model-2.safetensors" in read
    assert len(read) < len(list(folder.iterdir()))


WRONG: dict[str, tuple[Callable[[Path], object], str]] = {
    "a shard is missing": (lambda folder: (folder / "model-2.safetensors").unlink(), "lacks model-2.safetensors"),
    "no config": (lambda folder: (folder / "config.json").unlink(), "lacks config.json"),
    "a copy was cut off": (
        lambda folder: (folder / "model-1.safetensors").write_bytes((folder / "model-1.safetensors").read_bytes()[:-1]),
        "model-1.safetensors is not whole",
    ),
    "a pointer of Git LFS": (
        lambda folder: (folder / "model-1.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n"),
        "no header of safetensors",
    ),
    "an index that is none": (lambda folder: (folder / adopt.INDEX).write_text("[]"), "is no index"),
    "a link out of the folder": (
        lambda folder: (folder / "blob").symlink_to(folder.parent / "elsewhere"),
        "leads out of the folder",
    ),
    "another digest than SHA256SUMS": (
        lambda folder: (folder / adopt.SUMS).write_text(f"{64 * '0'}  config.json\n"),
        "config.json has another digest",
    ),
    "less than SHA256SUMS": (
        lambda folder: (folder / adopt.SUMS).write_text(f"{64 * '0'} *./tokenizer.json\n"),
        "tokenizer.json is not in the folder",
    ),
}


@pytest.mark.parametrize(("spoil", "told"), WRONG.values(), ids=WRONG.keys())
def test_a_folder_that_is_not_whole_is_refused(
    spoil: Callable[[Path], object], told: str, folder: Path, run: Adopt
) -> None:
    spoil(folder)
    code, said = run()
    assert code == LASTING
    assert told in said
    assert not manifest(folder).exists()


def test_good_sums_are_no_obstacle(folder: Path, run: Adopt) -> None:
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in folder.iterdir()]
    (folder / adopt.SUMS).write_text("".join(lines))
    assert run() == (0, "")


def test_without_an_index_the_one_file_is_enough(folder: Path, run: Adopt) -> None:
    for name in (adopt.INDEX, "model-2.safetensors"):
        (folder / name).unlink()
    assert run() == (0, "")
    (folder / "model-1.safetensors").unlink()
    manifest(folder).unlink()
    assert "has no safetensors file" in run()[1]


def test_a_folder_that_is_not_there_is_told_with_those_that_are(tmp_path: Path, run: Adopt) -> None:
    code, said = run(MODEL_DIRECTORY=str(tmp_path / "volume" / "models" / "V4"))
    assert code == LASTING
    assert "There is no folder models/V4 on the claim: it has models; correct deepseek:model.folder" in said
