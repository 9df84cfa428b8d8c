"""Reads a repository's facts from its own files, wherever they are."""

from typing import Any, cast

from planning.headers.faults import BadRepository
from planning.headers.safetensors import Tensor, read_tensors
from planning.headers.sources import INDEX, Source, read_json, weight_files
from planning.headers.summary import CONFIG, Found


def read_repository(source: Source, repository: str, commit: str | None) -> Found:
    """Return the facts of OWNER/NAME, whose files are in `source`. Raises FileNotFoundError, BadRepository."""
    config = read_json(source, CONFIG)
    text = cast("dict[str, Any]", config.get("text_config") or {})
    quantization: dict[str, Any] | None = (
        config.get("quantization_config") or text.get("quantization_config") or _of_nvidia(source)
    )
    return Found(repository, commit, config, quantization, _tensors(source))


def _of_nvidia(source: Source) -> dict[str, Any] | None:
    """The quantization in a file of its own, as NVIDIA's modelopt writes it."""
    try:
        written = read_json(source, "hf_quant_config.json")
    except FileNotFoundError:
        return None
    return {"quant_method": "modelopt", **(written.get("quantization") or {})}


def _tensors(source: Source) -> dict[str, tuple[str, Tensor]]:
    tensors: dict[str, tuple[str, Tensor]] = {}
    for file, indexed in weight_files(source).items():
        read = {tensor.name: tensor for tensor in read_tensors(source, file)}
        for name in sorted((indexed or frozenset()) - set(read)):
            raise BadRepository(INDEX, f"weight_map.{name}", file, "another file: this one has no such tensor")
        for name, tensor in read.items():
            if indexed is None or name in indexed:
                tensors[name] = file, tensor
    return tensors
