"""Reads repositories of tests as `make model` does, and plans them."""

from pathlib import Path

from planning.headers.__main__ import main
from planning.sizing.memory import stages
from planning.sizing.model_file import KnownModel, read
from tests.unit.planning.engines import engine
from tests.unit.planning.headers.host import COMMIT

ADDRESS = "https://models.example.com/owner/small"


def made(folder: Path, models: Path) -> KnownModel:
    models.mkdir(exist_ok=True)
    assert main([ADDRESS, COMMIT, "--folder", str(folder)], models) == 0
    return read(models / "owner--small.json")


def weights(known: KnownModel, tensor: int, pipeline: int = 1) -> list[int]:
    found = stages(known.architecture, known.precision, engine(tensor, pipeline), known.sums)
    return [stage.weights for _, stage in found]
