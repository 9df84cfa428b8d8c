"""Sizes of models and of their parts."""

from dataclasses import replace

import pytest

from planning.settings.quantities import GiB
from planning.sizing import weights
from planning.sizing.architecture import DEEPSEEK_V2, DEEPSEEK_V2_LITE, DEEPSEEK_V3, KIMI_K2, Architecture, Precision
from planning.sizing.memory import FP8_LOADING, Engine, stages
from planning.sizing.pipeline import split_layers
from planning.sizing.weights import Matrix, repository_bytes


def engine(tensor: int, pipeline: int) -> Engine:
    return Engine(
        tensor, pipeline, max_model_len=16384, max_num_batched_tokens=2048, max_num_seqs=256, enforce_eager=False
    )


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
