"""A pipeline stage reads only the files of a checkpoint that hold a layer of its own, ahead of vLLM's loader.

vLLM 0.32's default loader takes every tensor out of every file, and the model then drops those of other stages. So a
stage that keeps half of a checkpoint reads all of it (measured: bench/results.json, `load`). The loader leaves a file
out where the model says `is_unused_checkpoint_weight` of all its tensors. Only a few models say so; this plugin says it
for every model with pipeline stages, of what vLLM has put on other stages.

A tensor counts as unused only if its name in the checkpoint begins with that of such a module. So a checkpoint with
other names is read whole, as without the plugin. Where the output matrix may be tied to the embeddings, only layers
count as unused.

What is left is read ahead of the loader (weights_read_ahead.py), unless `--safetensors-load-strategy` is given. vLLM
calls `register` in each of its processes, by the entry point `vllm.general_plugins`.

Source: vLLM 0.32, model_executor/model_loader/default_loader.py and models/utils.py.
"""

from __future__ import annotations

import functools
import logging
import re
from typing import TYPE_CHECKING

import vllm
from weights_read_ahead import read_ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch
    from torch import nn
    from vllm.config import ModelConfig
    from vllm.model_executor.model_loader.base_loader import BaseModelLoader

    Weights = Iterator[tuple[str, torch.Tensor]]

KNOWN_RELEASE = "0.32."
LAYER = re.compile(r"(?:^|\.)layers\.\d+\.$")
COLLECTIVE = frozenset({"fastsafetensors", "instanttensor"})
"""Load formats by which all ranks read the same files together. A stage that left one out would stop the others."""

HOOK = "is_unused_checkpoint_weight"
LAZY = "lazy"
"""vLLM's way to load without its own way to read ahead."""

# A child of vLLM's logger, whose handler and level it takes.
logger = logging.getLogger("vllm.stage_weights")


def register() -> None:
    """Have the default loader leave out files of other stages, and have the others read ahead of it.

    Steps aside, and says so, where vLLM is another. vLLM may call this more than once in a process.
    """
    if not vllm.__version__.startswith(KNOWN_RELEASE):
        _step_aside(f"it is made for vLLM {KNOWN_RELEASE}x, and this is {vllm.__version__}")
        return
    try:
        # Here, because these modules are not for every process that has the plugin, and may be others one day.
        from vllm import distributed  # noqa: PLC0415
        from vllm.model_executor.model_loader import default_loader  # noqa: PLC0415
        from vllm.model_executor.model_loader.weight_utils import (  # noqa: PLC0415
            _get_available_ram_bytes as free_memory,
        )
        from vllm.model_executor.model_loader.weight_utils import _natural_sort_key as in_order  # noqa: PLC0415
        from vllm.model_executor.models.utils import get_pp_missing_layer_names as missing  # noqa: PLC0415

        load, iterate = default_loader.DefaultModelLoader.get_all_weights, default_loader.safetensors_weights_iterator
        rank, ranks = distributed.get_tensor_model_parallel_rank, distributed.get_tensor_model_parallel_world_size
    except (ImportError, AttributeError) as error:
        _step_aside(f"vLLM's default loader is not as expected: {error}")
        return
    if hasattr(load, "__wrapped__"):
        return

    @functools.wraps(load)
    def load_own(loader: BaseModelLoader, model_config: ModelConfig, model: nn.Module) -> Weights:
        alone = loader.load_config.load_format not in COLLECTIVE
        tied = getattr(model_config.hf_text_config, "tie_word_embeddings", True)
        unused = unused_by(missing(model), tied=tied)
        if unused and alone and not hasattr(model, HOOK):
            setattr(model, HOOK, unused)
        return load(loader, model_config, model)

    @functools.wraps(iterate)
    def iterate_ahead(files: list[str], progress: object, strategy: str | None = None, **options: object) -> Weights:
        if strategy or options.get("local_expert_ids"):  # then most of a file is not read at all
            return iterate(files, progress, strategy, **options)
        lazily = iterate(files, progress, LAZY, **options)
        return read_ahead(sorted(files, key=in_order), lazily, rank(), ranks(), free_memory())

    default_loader.DefaultModelLoader.get_all_weights = load_own
    default_loader.safetensors_weights_iterator = iterate_ahead


def unused_by(missing: list[str], *, tied: bool) -> Callable[[str], bool] | None:
    """Return whether a tensor is of a module that the stage does not have; None for a stage that has them all.

    `missing` are the names of modules that are on other stages, each with a dot at its end; `tied` says whether one of
    them may be loaded from the tensor of another.
    """
    unused = tuple(name for name in missing if not tied or LAYER.search(name))
    return (lambda name: name.startswith(unused)) if unused else None


def _step_aside(reason: str) -> None:
    logger.warning("stage-weights: %s. Each pipeline stage reads the whole checkpoint, and nothing ahead.", reason)
