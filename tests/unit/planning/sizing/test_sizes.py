"""Sizes of models and of their parts."""

from dataclasses import replace

import pytest

from planning.settings.quantities import GiB
from planning.sizing import weights
from planning.sizing.architecture import Architecture
from planning.sizing.architectures.latent_attention import LatentAttention
from planning.sizing.matrices import Matrix, Precision
from planning.sizing.memory import FP8_LOADING, stages
from planning.sizing.model_file import known_model
from planning.sizing.pipeline import split_layers
from planning.sizing.weights import repository_bytes
from tests.unit.planning.architectures import (
    DEEPSEEK_V2,
    DEEPSEEK_V2_LITE,
    DEEPSEEK_V3,
    KIMI_K2,
    LLAMA_3_70B,
)
from tests.unit.planning.engines import engine


def test_the_fp8_repository_has_its_published_size() -> None:
    assert repository_bytes(DEEPSEEK_V3, "fp8") == pytest.approx(688_586_727_753, rel=1e-4)


def test_the_bf16_repository_has_its_published_size() -> None:
    assert repository_bytes(DEEPSEEK_V3, "bf16") == pytest.approx(1.369e12, rel=1e-4)


@pytest.mark.parametrize(
    ("architecture", "parameters"),
    [
        (replace(DEEPSEEK_V3, num_nextn_predict_layers=0), 671_026_419_200),
        (DEEPSEEK_V2, 235_741_434_880),
        (DEEPSEEK_V2_LITE, 15_706_484_224),
        (KIMI_K2, 1_026_408_232_448),
    ],
    ids=["V3", "V2", "V2-Lite", "Kimi K2"],
)
def test_parameters_are_those_of_the_model_cards(architecture: Architecture, parameters: int) -> None:
    assert repository_bytes(architecture, "bf16") / 2 == pytest.approx(parameters, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("DeepSeek-R1-Distill-Llama-8B", 8_030_261_248),
        ("DeepSeek-R1-Distill-Llama-70B", 70_553_706_496),
        ("DeepSeek-R1-Distill-Qwen-1.5B", 1_777_088_000),
        ("DeepSeek-R1-Distill-Qwen-7B", 7_615_616_512),
        ("DeepSeek-R1-Distill-Qwen-14B", 14_770_033_664),
        ("DeepSeek-R1-Distill-Qwen-32B", 32_763_876_352),
        ("DeepSeek-R1-0528-Qwen3-8B", 8_190_735_360),
    ],
)
def test_parameters_of_the_distilled_models_are_those_of_their_cards(name: str, parameters: int) -> None:
    known = known_model(f"https://mirror.example.com/deepseek-ai/{name}.git")
    assert known
    assert repository_bytes(known.architecture, known.precision) == 2 * parameters


@pytest.mark.parametrize(("ranks", "key_heads"), [(1, 8), (2, 4), (8, 1), (16, 1)])
def test_ranks_divide_the_key_heads_and_copy_the_last(ranks: int, key_heads: int) -> None:
    """Key heads of 128 elements, a key and a value each, 80 layers, in BF16."""
    ((_, stage),) = stages(LLAMA_3_70B, "bf16", engine(ranks, 1))
    assert stage.kv_bytes_per_token == 80 * 2 * key_heads * 128 * 2
    copies = max(0, ranks - 8) * 80 * 2 * 128 * 8192 * 2
    replicated = (ranks - 1) * (80 * 2 + 1) * 8192 * 2 + ranks * LLAMA_3_70B.rotary_bytes
    assert ranks * stage.weights == repository_bytes(LLAMA_3_70B, "bf16") + copies + replicated


@pytest.mark.parametrize(
    ("layers", "stages", "sizes"),
    [(61, 4, [15, 15, 16, 15]), (5, 2, [3, 2]), (61, 1, [61]), (62, 8, [7, 8, 8, 8, 8, 8, 8, 7])],
)
def test_layers_are_split_as_vllm_splits_them(layers: int, stages: int, sizes: list[int]) -> None:
    split = split_layers(layers, stages)
    assert [len(stage) for stage in split] == sizes
    assert [layer for stage in split for layer in stage] == list(range(layers))


def test_weights_of_the_articles_stages() -> None:
    sizes = [stage.weights / GiB for _, stage in stages(DEEPSEEK_V3, "bf16", engine(tensor=8, pipeline=4))]
    assert sizes == pytest.approx([33.2, 40.6, 43.3, 40.8], abs=0.1)


@pytest.mark.parametrize("precision", ["bf16", "fp8"])
@pytest.mark.parametrize("depth", [1, 4, 7])
@pytest.mark.parametrize("tensor", [1, 2, 8, 16])
def test_ranks_together_hold_the_model_and_what_is_replicated(precision: Precision, depth: int, tensor: int) -> None:
    a = DEEPSEEK_V3
    assert isinstance(a, LatentAttention)
    pipeline = stages(a, precision, engine(tensor, depth))
    held = tensor * sum(stage.weights for _, stage in pipeline)
    loading = tensor * depth * (FP8_LOADING if precision == "fp8" else 0)
    rotary_caches = tensor * depth * 4 * a.max_position_embeddings * a.qk_rope_head_dim
    replicated = 2 * a.hidden_size + sum(
        matrix.bytes(precision)
        for layer in range(a.num_hidden_layers)
        for matrix in weights.layer(a, moe=a.is_moe(layer))
        if matrix.split is None
    )
    kv_b = 2 * a.num_attention_heads * (a.qk_nope_head_dim + a.v_head_dim) * a.kv_lora_rank
    absorbed = a.num_hidden_layers * kv_b if precision == "fp8" else 0
    model = repository_bytes(replace(a, num_nextn_predict_layers=0), precision)
    assert held == model + (tensor - 1) * replicated + absorbed + rotary_caches + loading


def test_fp8_scales_count_started_blocks() -> None:
    assert Matrix(129, 100).bytes("fp8") == 129 * 100 + 4 * 2
    assert Matrix(129, 100, fp8=False).bytes("fp8") == 2 * 129 * 100


def test_layers_without_experts_where_the_model_says_so() -> None:
    every_other = replace(DEEPSEEK_V3, moe_layer_freq=2, first_k_dense_replace=1)
    assert [every_other.is_moe(layer) for layer in range(5)] == [False, False, True, False, True]
    assert not replace(DEEPSEEK_V3, n_routed_experts=None).is_moe(10)
