"""What a step makes a rank do."""

import random
from dataclasses import replace

import pytest

from planning.sizing.gpus import TABLE
from planning.sizing.matrices import Precision
from planning.sizing.weights import layer_bytes
from planning.speed.efficiency import FITTED
from planning.speed.layout import Layout, Links
from planning.speed.step import Machine
from planning.speed.work import Batch, Model, experts_read, head_work, layer_work
from tests.unit.planning.architectures import DEEPSEEK_V3

V3 = Model(DEEPSEEK_V3, "bf16")
ALONE = Layout(tensor_parallel_size=1, gpus_per_node=1)


def test_one_token_reads_its_own_experts_and_a_large_batch_all() -> None:
    assert experts_read(V3, 1) == pytest.approx(8)
    assert experts_read(V3, 10_000) == pytest.approx(256)
    assert experts_read(replace(V3, routing="same"), 10_000) == 8


@pytest.mark.parametrize("tokens", [2, 16, 64])
def test_distinct_experts_are_those_of_a_draw(tokens: int) -> None:
    draw = random.Random(tokens)
    drawn = [len({expert for _ in range(tokens) for expert in draw.sample(range(256), 8)}) for _ in range(400)]
    assert experts_read(V3, tokens) == pytest.approx(sum(drawn) / len(drawn), rel=0.02)


@pytest.mark.parametrize("precision", ["bf16", "fp8"])
@pytest.mark.parametrize("tensor", [1, 8])
@pytest.mark.parametrize("moe", [True, False])
def test_a_large_batch_reads_the_whole_layer(precision: Precision, tensor: int, *, moe: bool) -> None:
    """But for the BF16 copy of a projection that vLLM keeps beside the FP8 one: either of them is read."""
    layout = Layout(tensor_parallel_size=tensor, gpus_per_node=8)
    work = layer_work(Model(DEEPSEEK_V3, precision), layout, Batch(decoding=1e6), moe=moe)
    assert work.weights + work.experts == pytest.approx(layer_bytes(DEEPSEEK_V3, precision, layout, moe=moe), rel=0.06)


def test_a_token_costs_two_operations_for_each_active_parameter() -> None:
    """DeepSeek-V3's report counts 37 billion of them, the embedding among them, which is only looked up."""
    batch = Batch(decoding=1)
    layers = [layer_work(V3, ALONE, batch, moe=DEEPSEEK_V3.is_moe(layer)) for layer in range(61)]
    flops = sum(work.weights_flops + work.experts_flops for work in layers) + head_work(V3, ALONE, batch).weights_flops
    assert flops / 2 == pytest.approx(37e9 - 0.93e9, rel=0.03)


def test_decode_context_parallelism_divides_the_reading_of_the_cache_only() -> None:
    batch = Batch(decoding=64, context=4000)
    whole = layer_work(V3, Layout(tensor_parallel_size=8, gpus_per_node=8), batch, moe=True)
    divided = layer_work(
        V3, Layout(tensor_parallel_size=8, decode_context_parallel_size=8, gpus_per_node=8), batch, moe=True
    )
    assert divided.cache == whole.cache / 8 == 64 * 4000 * 576 * 2 / 8
    assert divided.weights == whole.weights
    assert divided.collectives > whole.collectives


def test_data_parallel_ranks_hold_attention_whole_and_share_the_experts() -> None:
    divided = Layout(tensor_parallel_size=1, data_parallel_size=8, expert_parallel=True, gpus_per_node=8)
    tensor = Layout(tensor_parallel_size=8, gpus_per_node=8)
    of_data = layer_work(V3, divided, Batch(decoding=8), moe=True)
    of_tensor = layer_work(V3, tensor, Batch(decoding=64), moe=True)
    assert of_data.experts == pytest.approx(of_tensor.experts)
    assert of_data.weights > 4 * of_tensor.weights


def test_only_what_goes_to_the_experts_leaves_the_node_of_a_copy() -> None:
    copies = Layout(tensor_parallel_size=8, data_parallel_size=4, gpus_per_node=8)
    work = layer_work(V3, copies, Batch(decoding=16), moe=True)
    assert work.reduced == 2 * 16 * 7168 * 2
    assert work.exchanged == 4 * 16 * 7168 * 2
    rates = TABLE["NVIDIA-H200"].rates
    assert rates
    fast, slow = (
        Machine(V3, copies, rates, Links.of(rates, copies, gbit), FITTED).seconds(Batch(decoding=16))[0].links
        for gbit in (3200, 100)
    )
    assert slow > 5 * fast
    within = Machine(V3, replace(copies, data_parallel_size=1), rates, Links.of(rates, copies, 100), FITTED)
    assert within.seconds(Batch(decoding=16))[0].links < fast


def test_ranks_of_several_nodes_speak_over_the_slower_link() -> None:
    layout = Layout(tensor_parallel_size=16, gpus_per_node=8)
    links = Links(in_node=450e9, between_nodes=6e9)
    assert links.among(16, layout) == 6e9
    assert links.among(8, layout) == 450e9
