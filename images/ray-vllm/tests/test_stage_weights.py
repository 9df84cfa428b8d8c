"""The plugin that leaves out files of other pipeline stages, against stand-ins for vLLM's modules."""

import importlib
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from safetensors_file import Tensor, write_safetensors

PLUGIN = Path(__file__).parents[1] / "stage-weights"
LOADER = "vllm.model_executor.model_loader.default_loader"
UTILS = "vllm.model_executor.models.utils"
WEIGHTS = "vllm.model_executor.model_loader.weight_utils"
DISTRIBUTED = "vllm.distributed"
MISSING = ["model.embed_tokens.", "model.layers.0.", "model.layers.1.", "lm_head."]


class Model:
    """A model, or one that says itself what it does not use."""

    def __init__(self, **own: Any) -> None:
        vars(self).update(own)


class Stage:
    """vLLM on one stage: what its loader was told of a model."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, version: str, missing: list[str]) -> None:
        def get_all_weights(_loader: object, _config: object, model: Any) -> Iterator[Any]:
            yield getattr(model, "is_unused_checkpoint_weight", None)

        def get_pp_missing_layer_names(_model: object) -> list[str]:
            return missing

        def safetensors_weights_iterator(
            files: list[str], _progress: object, strategy: str | None = None, **_options: Any
        ) -> Iterator[Any]:
            yield strategy, files

        self.loader: Any = type("DefaultModelLoader", (), {"get_all_weights": get_all_weights})
        modules: dict[str, dict[str, Any]] = {
            "vllm": {"__version__": version},
            DISTRIBUTED: {
                "get_tensor_model_parallel_rank": lambda: 0,
                "get_tensor_model_parallel_world_size": lambda: 1,
            },
            LOADER: {
                "DefaultModelLoader": self.loader,
                "safetensors_weights_iterator": safetensors_weights_iterator,
            },
            WEIGHTS: {"_natural_sort_key": str, "_get_available_ram_bytes": lambda: 1 << 40},
            UTILS: {"get_pp_missing_layer_names": get_pp_missing_layer_names},
        }
        for name, content in modules.items():
            module = ModuleType(name)
            vars(module).update(content)
            monkeypatch.setitem(sys.modules, name, module)
        self.module: Any = sys.modules[LOADER]
        for package in ("vllm.model_executor", "vllm.model_executor.model_loader", "vllm.model_executor.models"):
            monkeypatch.setitem(sys.modules, package, ModuleType(package))
        monkeypatch.setattr(sys, "path", [str(PLUGIN), *sys.path])
        monkeypatch.delitem(sys.modules, "stage_weights", raising=False)
        self.plugin = importlib.import_module("stage_weights")

    def unused(self, model: Model, load_format: str = "auto", **config: Any) -> Callable[[str], bool] | None:
        """Return what the loader asks of each tensor."""
        loader = self.loader()
        loader.load_config = SimpleNamespace(load_format=load_format)
        return next(loader.get_all_weights(SimpleNamespace(hf_text_config=SimpleNamespace(**config)), model))


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Stage]]:
    def made(version: str = "0.32.0+cpu", missing: list[str] = MISSING) -> Stage:
        return Stage(monkeypatch, version, missing)

    yield made
    sys.modules.pop("stage_weights", None)


def test_modules_of_other_stages_are_unused_and_nothing_else(stage: Callable[..., Stage]) -> None:
    middle = stage()
    middle.plugin.register()
    unused = middle.unused(Model(), tie_word_embeddings=False)
    assert unused
    assert unused("model.embed_tokens.weight")
    assert unused("lm_head.weight")
    assert unused("model.layers.1.mlp.experts.3.up_proj.weight")
    for used in ("model.layers.10.mlp.gate.weight", "model.layers.2.input_layernorm.weight", "layers.1.weight"):
        assert not unused(used)


@pytest.mark.parametrize("config", [{"tie_word_embeddings": True}, {}], ids=["tied", "not said"])
def test_what_may_be_tied_is_read_on_every_stage(stage: Callable[..., Stage], config: dict[str, Any]) -> None:
    middle = stage()
    middle.plugin.register()
    unused = middle.unused(Model(), **config)
    assert unused
    assert unused("model.layers.1.mlp.gate.weight")
    for shared in ("model.embed_tokens.weight", "lm_head.weight"):
        assert not unused(shared)


def test_a_stage_with_all_layers_reads_as_before(stage: Callable[..., Stage]) -> None:
    alone = stage(missing=[])
    alone.plugin.register()
    assert alone.unused(Model()) is None


@pytest.mark.parametrize("load_format", ["fastsafetensors", "instanttensor"])
def test_files_that_all_ranks_read_together_stay(stage: Callable[..., Stage], load_format: str) -> None:
    middle = stage()
    middle.plugin.register()
    assert middle.unused(Model(), load_format) is None


def test_what_a_model_says_itself_counts(stage: Callable[..., Stage]) -> None:
    last = stage()
    last.plugin.register()
    assert last.unused(Model(is_unused_checkpoint_weight=str.isupper)) == str.isupper


def test_it_is_registered_once_however_often_vllm_calls_it(stage: Callable[..., Stage]) -> None:
    last = stage()
    last.plugin.register()
    registered = last.loader.get_all_weights
    last.plugin.register()
    assert last.loader.get_all_weights is registered


def test_it_steps_aside_for_another_release_and_says_so(
    stage: Callable[..., Stage], caplog: pytest.LogCaptureFixture
) -> None:
    later = stage(version="0.33.0")
    with caplog.at_level(logging.WARNING):
        later.plugin.register()
    assert later.unused(Model()) is None
    assert "made for vLLM 0.32.x, and this is 0.33.0" in caplog.text


def test_it_steps_aside_where_the_loader_is_another(
    stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    changed = stage()
    monkeypatch.setitem(sys.modules, LOADER, ModuleType(LOADER))
    with caplog.at_level(logging.WARNING):
        changed.plugin.register()
    assert "not as expected" in caplog.text


@pytest.mark.parametrize("strategy", ["eager", "prefetch", "torchao"])
def test_a_strategy_that_somebody_chose_stays(stage: Callable[..., Stage], strategy: str) -> None:
    chosen = stage()
    chosen.plugin.register()
    assert list(chosen.module.safetensors_weights_iterator(["a"], None, strategy)) == [(strategy, ["a"])]


def test_where_a_rank_loads_its_own_experts_only_nothing_is_read_ahead(stage: Callable[..., Stage]) -> None:
    divided = stage()
    divided.plugin.register()
    found = divided.module.safetensors_weights_iterator(["a"], None, None, local_expert_ids={1})
    assert list(found) == [(None, ["a"])]


def test_ahead_of_the_loader_vllm_itself_reads_nothing(stage: Callable[..., Stage], tmp_path: Path) -> None:
    alone = stage()
    alone.plugin.register()
    write_safetensors(tmp_path / "a", [Tensor("lazy", "BF16", (1,), bytearray(2))])
    files = [str(tmp_path / "a")]
    assert list(alone.module.safetensors_weights_iterator(files, None)) == [("lazy", files)]
