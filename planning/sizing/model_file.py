"""Reads the files of planning/models: what is known of a repository. planning/headers writes them."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from planning.settings.addresses import is_commit, owner_and_name
from planning.sizing.architecture import Architecture
from planning.sizing.architectures import ARCHITECTURES
from planning.sizing.matrices import Precision
from planning.sizing.quantization import precision_of
from planning.sizing.tensor_rules import Kind, Split
from planning.sizing.tensor_sums import TensorSum, TensorSums

FOLDER = Path(__file__).resolve().parents[1] / "models"

Bytes = Annotated[int, Field(ge=0)]
RELEASE = r"^\d+\.\d+\.\d+$"
Number = Annotated[int, Field(ge=0, le=10**12)] | bool | None


class BadModelFile(Exception):
    """A file of planning/models that somebody has edited by hand: the file, the field, and what is right."""


class _Written(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class WrittenSum(_Written):
    """One line of a file: tensors of one layer that are alike for the plan."""

    kind: Kind
    split: Split
    type: str
    bytes: Bytes
    held_bytes: Bytes | None = None
    """Where vLLM holds other bytes than the repository has."""


class WrittenLayers(_Written):
    """Layers that hold the same, from `first` to `last`."""

    first: int
    last: int
    tensors: list[WrittenSum]


class WrittenFile(_Written):
    """A file of planning/models."""

    repository: str
    commit: str | None = None
    source: Literal["headers", "derived"]
    """`headers`: read from the repository's own files. `derived`: worked out from the numbers of its config.json."""
    sources: list[str] = []
    """Of a derived file: where its numbers stand."""
    least_vllm: Annotated[str, Field(pattern=RELEASE)] | None = None
    """The oldest release of vLLM that is known to serve it; docs/gpu-memory.md tells from where."""
    model_type: str
    config: dict[str, Number]
    quantization: dict[str, Any] | None = None
    """As config.json has it."""
    bytes: Bytes | None = None
    """Of all tensors."""
    layers: list[WrittenLayers] = []
    outside: list[WrittenSum] = []


@dataclass(frozen=True)
class KnownModel:
    """A repository whose sizes are known."""

    repository: str
    commit: str | None
    """To which the sizes belong; None where they are derived."""
    model_type: str
    architecture: Architecture
    precision: Precision
    sums: TensorSums | None
    """None where sizes are derived from the architecture's numbers."""
    least_vllm: str | None = None
    """The oldest release of vLLM that is known to serve it."""
    quantization_method: str | None = None
    """`quant_method` of its config.json, as vLLM knows it."""


@cache
def known_model(address: str) -> KnownModel | None:
    """Find the repository by the last two parts of its address, whatever the host that mirrors it.

    Raises BadModelFile.
    """
    path = path_of(address)
    return read(path) if path else None


def path_of(address: str) -> Path | None:
    """Return the file of a repository, None where there is none."""
    return _files().get(owner_and_name(address).lower())


def model_of(repository: str) -> KnownModel:
    """What is known of a repository. Raises LookupError where that is nothing, and BadModelFile."""
    known = known_model(repository)
    if known is None:
        raise LookupError(f"planning/models has no file of {repository}")
    return known


def architecture_of(repository: str) -> Architecture:
    """The numbers of a repository that is known. Raises as `model_of`."""
    return model_of(repository).architecture


@cache
def _files() -> dict[str, Path]:
    return {path.stem.replace("--", "/", 1).lower(): path for path in FOLDER.glob("*.json")}


def read(path: Path) -> KnownModel:
    """Read one file. Raises BadModelFile."""
    try:
        written = WrittenFile.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise BadModelFile(f"{_shown(path)}: {field}: {first['msg']}") from None
    architecture = _architecture(path, written)
    try:
        precision = precision_of(written.quantization)
    except ValueError as error:
        raise BadModelFile(f"{_shown(path)}: quantization: {error}") from None
    if path.stem != written.repository.replace("/", "--"):
        raise BadModelFile(f"{_shown(path)}: repository: {written.repository} belongs into another file")
    if written.source == "headers" and not is_commit(written.commit or ""):
        raise BadModelFile(f"{_shown(path)}: commit: {written.commit} is no full commit, and source is headers")
    sums = _sums(path, written, architecture) if written.source == "headers" or written.layers else None
    if sums is None and precision not in ("bf16", "fp8"):
        raise BadModelFile(f"{_shown(path)}: layers: there are none, and {precision} weights have no formula")
    return KnownModel(
        written.repository,
        written.commit,
        written.model_type,
        architecture,
        precision,
        sums,
        written.least_vllm,
        (written.quantization or {}).get("quant_method"),
    )


def _architecture(path: Path, written: WrittenFile) -> Architecture:
    kind = ARCHITECTURES.get(written.model_type)
    if kind is None:
        known = ", ".join(ARCHITECTURES)
        raise BadModelFile(f"{_shown(path)}: model_type: {written.model_type} is none of {known}")
    missing = [name for name in kind.required() if name not in written.config]
    foreign = [name for name in written.config if name not in kind.names()]
    if missing:
        raise BadModelFile(f"{_shown(path)}: config: lacks {', '.join(missing)}")
    if foreign:
        raise BadModelFile(f"{_shown(path)}: config: {', '.join(foreign)}: {written.model_type} has no such number")
    numbers: dict[str, Any] = dict(written.config)
    return kind(**numbers)


def _sums(path: Path, written: WrittenFile, architecture: Architecture) -> TensorSums:
    layers: list[tuple[TensorSum, ...]] = []
    for group in written.layers:
        if group.first != len(layers) or group.last < group.first:
            text = f"{group.first} to {group.last} follow {len(layers)} layers"
            raise BadModelFile(f"{_shown(path)}: layers: {text}")
        layers += [_read(group.tensors)] * (group.last - group.first + 1)
    wanted = architecture.num_hidden_layers + architecture.num_nextn_predict_layers
    if not architecture.num_hidden_layers <= len(layers) <= wanted:
        raise BadModelFile(f"{_shown(path)}: layers: there are {len(layers)}, and config has {wanted}")
    sums = TensorSums(tuple(layers), _read(written.outside))
    if sums.bytes != written.bytes:
        raise BadModelFile(f"{_shown(path)}: bytes: {written.bytes}, and the tensors add up to {sums.bytes}")
    return sums


def _read(tensors: list[WrittenSum]) -> tuple[TensorSum, ...]:
    return tuple(
        TensorSum(t.kind, t.split, t.type, t.bytes, t.bytes if t.held_bytes is None else t.held_bytes) for t in tensors
    )


def _shown(path: Path) -> str:
    return f"planning/models/{path.name}"
