"""What a rank holds in layouts beside tensor and pipeline parallelism."""

from dataclasses import replace
from typing import Any

import pytest

from planning.plan import Plan
from planning.settings.quantities import GiB
from planning.sizing.matrices import feed_forward
from planning.sizing.memory import FP8_LOADING
from planning.sizing.model_file import architecture_of
from planning.sizing.sizes import Sizes
from planning.sizing.weights import layer_bytes, next_token_bytes, stage_bytes
from tests.unit.planning.architectures import DEEPSEEK_V2, DEEPSEEK_V3
from tests.unit.planning.stacks import V3_FP8, plan

V32 = "https://huggingface.co/deepseek-ai/DeepSeek-V3.2"
ONE_NODE: dict[str, Any] = {"gpu": "NVIDIA-H200", "nodes": 1}


def fp8(repository: str = V3_FP8, **serving: Any) -> Plan:
    keys = {"gpuMemoryUtilization": 0.92, "maxNumBatchedTokens": 2048, **serving}
    found = plan(model={"repository": repository}, hardware=ONE_NODE, serving=keys)
    assert found.fits, found.problems
    return found


def experts(a: Any, count: int) -> int:
    return sum(matrix.bytes("bf16") for matrix in feed_forward(a.hidden_size, a.moe_intermediate_size, count=count))


def test_data_parallel_ranks_hold_attention_whole_and_divide_the_experts() -> None:
    alone = layer_bytes(DEEPSEEK_V3, "bf16", Sizes(tensor_parallel_size=1), moe=True)
    for whole in (False, True):
        copies = Sizes(tensor_parallel_size=1, data_parallel_size=8, expert_parallel=whole)
        of_one = layer_bytes(DEEPSEEK_V3, "bf16", copies, moe=True)
        assert alone - of_one == experts(DEEPSEEK_V3, 256 - 32)
    dense = [layer_bytes(DEEPSEEK_V3, "bf16", replace(copies, data_parallel_size=n), moe=False) for n in (1, 8)]
    assert dense[0] == dense[1]


def test_a_rank_with_whole_experts_may_have_one_more_than_others() -> None:
    """160 experts on 64 ranks: three at the most."""
    alone = layer_bytes(DEEPSEEK_V2, "bf16", Sizes(tensor_parallel_size=1), moe=True)
    copies = Sizes(tensor_parallel_size=1, data_parallel_size=64, expert_parallel=True)
    assert alone - layer_bytes(DEEPSEEK_V2, "bf16", copies, moe=True) == experts(DEEPSEEK_V2, 160 - 3)


def test_ranks_that_share_the_tokens_hold_the_shared_expert_whole() -> None:
    divided = Sizes(tensor_parallel_size=4, data_parallel_size=2)
    whole = replace(divided, expert_parallel=True)
    more = layer_bytes(DEEPSEEK_V3, "bf16", whole, moe=True) - layer_bytes(DEEPSEEK_V3, "bf16", divided, moe=True)
    assert more == experts(DEEPSEEK_V3, 1) * 3 // 4


@pytest.mark.parametrize("repository", [V3_FP8, V32])
def test_expert_parallelism_alone_holds_as_much_as_slices(repository: str) -> None:
    slices, whole = fp8(repository), fp8(repository, expertParallel=True)
    assert whole.ranks[0].weights_bytes == pytest.approx(slices.ranks[0].weights_bytes, rel=1e-3)


def test_the_files_of_a_repository_tell_the_same_as_its_numbers() -> None:
    """V3.2 is V3 with indexers, which no rank divides."""
    sizes: dict[str, Any] = {"dataParallelSize": 4, "expertParallel": True, "speculative": 1}
    read, numbers = fp8(V32, **sizes).ranks[0], fp8(**sizes).ranks[0]
    indexers = 62 * (64 * 128 * 1536 + 2 * (128 + 64) * 7168)
    assert read.weights_bytes - numbers.weights_bytes == pytest.approx(indexers, rel=0.02)


def test_each_data_parallel_rank_has_a_cache_of_its_own() -> None:
    found = fp8(dataParallelSize=8, expertParallel=True)
    assert found.kv_cache_tokens == 8 * found.ranks[0].kv_cache_tokens == 8 * found.kv_cache_tokens_of_a_rank
    assert found.full_requests == found.kv_cache_tokens / 163840


def test_the_experts_of_each_rank_get_the_tokens_of_all() -> None:
    two, eight = (fp8(dataParallelSize=copies, tensorParallelSize=8 // copies).ranks[0] for copies in (2, 8))
    rows = 2048 * 8 * 2 * 7168 * 2
    assert eight.activations_bytes - two.activations_bytes > 6 * rows


def test_ranks_that_divide_the_cache_hold_as_many_times_the_tokens() -> None:
    whole, divided = fp8(), fp8(decodeContextParallelSize=8)
    assert divided.ranks[0].kv_bytes_per_token == whole.ranks[0].kv_bytes_per_token
    for_tokens = divided.ranks[0].kv_cache_bytes / divided.ranks[0].kv_bytes_per_token
    assert divided.kv_cache_tokens == pytest.approx(8 * for_tokens, rel=1e-4)
    assert divided.kv_cache_tokens % (8 * 16) == 0
    assert divided.kv_cache_memory_bytes == divided.kv_cache_tokens // 8 * divided.ranks[0].kv_bytes_per_token
    more = divided.ranks[0].graphs_bytes - whole.ranks[0].graphs_bytes
    assert more == (8 - 1) * 33 * 512 * 16 * 512 * 4, "each rank has the queries of all"


def test_an_fp8_cache_takes_half() -> None:
    assert 2 * fp8(kvCacheDtype="fp8").ranks[0].kv_bytes_per_token == fp8().ranks[0].kv_bytes_per_token


def test_the_layer_for_further_tokens_is_on_the_last_stage_with_its_cache() -> None:
    nodes, model = {"gpu": "NVIDIA-H200", "nodes": 2}, {"repository": V3_FP8}
    without, speculative = (
        plan(model=model, hardware=nodes, serving={"speculative": tokens}).ranks for tokens in (None, 2)
    )
    assert speculative[0].weights_bytes == without[0].weights_bytes
    layer = next_token_bytes(DEEPSEEK_V3, "fp8", Sizes(tensor_parallel_size=8, pipeline_parallel_size=2), first=False)
    assert speculative[1].weights_bytes - without[1].weights_bytes == layer
    assert [rank.kv_bytes_per_token // 1152 for rank in speculative] == [31, 31]


def test_a_stage_that_is_the_only_one_lends_its_embedding_to_that_layer() -> None:
    sizes = Sizes(tensor_parallel_size=1)
    own, lent = (next_token_bytes(DEEPSEEK_V3, "bf16", sizes, first=first) for first in (False, True))
    assert own - lent == 2 * 129280 * 7168
    all_layers = stage_bytes(DEEPSEEK_V3, "fp8", sizes, (61, 58), first=True, last=True)
    assert fp8_alone() == all_layers + FP8_LOADING + next_token_bytes(DEEPSEEK_V3, "fp8", sizes, first=True)


def fp8_alone() -> int:
    one = {"gpu": "NVIDIA-X", "gpuMemoryGiB": 1000.0, "computeCapability": 9.0, "gpusPerNode": 1, "nodes": 1}
    pool = {"nodeSelector": {"example.com/pool": "x"}}
    found = plan(model={"repository": V3_FP8}, hardware=one, scheduling=pool, serving={"speculative": 1})
    return found.ranks[0].weights_bytes


def test_a_layout_that_was_not_measured_keeps_a_margin_and_says_so() -> None:
    measured, assumed = fp8(), fp8(expertParallel=True)
    assert assumed.ranks[0].kv_cache_bytes < measured.ranks[0].kv_cache_bytes - 1.9 * GiB
    assert any("expert parallelism: not measured under heavy load" in note for note in assumed.warnings)
    assert not any("not measured" in note for note in measured.warnings)


def test_the_vocabulary_of_repositories_without_such_a_layer() -> None:
    assert architecture_of("moonshotai/Kimi-K2-Instruct").num_nextn_predict_layers == 0
