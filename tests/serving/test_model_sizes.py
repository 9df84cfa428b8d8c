"""What is planned from a repository's own files is what vLLM takes: weights in INT4, and grouped-query attention."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import tiny_model
import tiny_siblings

from planning.headers.__main__ import WRITTEN
from planning.headers.__main__ import main as make_model
from planning.sizing.memory import Stage, stages
from planning.sizing.model_file import read
from tests.serving import live, loaded_models
from tests.serving.vllm_parser import in_pod
from tests.unit.planning.engines import engine

COMMIT = "c" * 40
BLOCK_TOKENS = 16
"""Of vLLM's cache on CPUs."""
TIMEOUT_SECONDS = 300


def planned(folder: Path, models: Path) -> Stage:
    """Return what one rank holds, by the file that `make model` writes."""
    address = f"https://models.example.com/tiny/{folder.name}"
    assert make_model([address, COMMIT, f"--folder={folder}"], models) == WRITTEN
    known = read(models / f"tiny--{folder.name}.json")
    ((_, stage),) = stages(known.architecture, known.precision, engine(1), known.sums)
    return stage


@pytest.mark.usefixtures("served")
def test_the_download_has_kept_the_file_of_what_arrived(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    folder = tmp_path / "tiny"
    tiny_model.write_model(folder)
    text = live.config_map("model-file")["model.json"]
    kept = json.loads(text)
    address = f"http://{kept['repository']}"  # of a server without owners, which is known by its host
    assert make_model([address, kept["commit"], f"--folder={folder}"], tmp_path / "models") == WRITTEN
    [path] = (tmp_path / "models").iterdir()
    assert text == path.read_text()


@pytest.mark.usefixtures("served")
def test_what_is_planned_from_a_repositorys_files_is_what_vllm_takes(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    folders = tiny_siblings.write_siblings(tmp_path / "repositories")
    archive = shutil.make_archive(str(tmp_path / "models"), "zip", tmp_path / "repositories")
    program = Path(loaded_models.__file__).read_text(encoding="utf-8")
    run = subprocess.run(
        [*in_pod(), "-c", program],
        input=Path(archive).read_bytes(),
        check=True,
        stdout=subprocess.PIPE,
        timeout=TIMEOUT_SECONDS,
    )
    found = json.loads(run.stdout.splitlines()[-1])
    assert set(found) == {"int4", "grouped"}
    for name, folder in folders.items():
        stage = planned(folder, tmp_path / "models")
        # What rotary positions take is no parameter, and is counted beside them.
        weights = stage.weights - stage.architecture.rotary_bytes
        assert found[name]["weights"] == pytest.approx(weights, rel=0.001), name
        blocks = loaded_models.KV_BYTES // (stage.kv_bytes_per_token * BLOCK_TOKENS)
        assert found[name]["kv_tokens"] == blocks * BLOCK_TOKENS, name
        assert found[name]["answer_tokens"] == loaded_models.ANSWER_TOKENS, name
