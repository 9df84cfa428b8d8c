"""The pairs of ranks and nodes that the network proof measures."""

from itertools import combinations

import pytest
from proof_layout import Layout, node_rounds, peer_in, stage_rounds, tournament

ARTICLE = Layout(nodes=4, ranks_per_node=8, tensor_parallel_size=8, pipeline_parallel_size=4)


@pytest.mark.parametrize("nodes", [1, 2, 3, 4, 5, 8, 33])
def test_every_node_meets_every_other_once_and_one_at_a_time(nodes: int) -> None:
    rounds = tournament(nodes)
    met = [pair for pairs in rounds for pair in pairs]
    assert sorted(met) == sorted(combinations(range(nodes), 2))
    for pairs in rounds:
        busy = [node for pair in pairs for node in pair]
        assert len(busy) == len(set(busy))
    assert len(rounds) <= nodes


def test_a_pair_of_nodes_sends_between_all_its_ranks_at_once() -> None:
    rounds = node_rounds(ARTICLE)
    assert len(rounds) == 3
    assert all(len(pairs) == 16 for pairs in rounds)
    assert {frozenset(map(ARTICLE.node_of, pair)) for pair in rounds[0][:8]} == {frozenset({0, 3})}


def test_activations_go_from_each_rank_of_a_stage_to_its_counterpart_in_the_next() -> None:
    even, odd = stage_rounds(ARTICLE)
    assert even == [(place, place + 8) for place in range(8)] + [(place + 16, place + 24) for place in range(8)]
    assert odd == [(place + 8, place + 16) for place in range(8)]


def test_one_stage_has_no_hops_and_one_node_no_pairs() -> None:
    layout = Layout(nodes=1, ranks_per_node=8, tensor_parallel_size=8, pipeline_parallel_size=1)
    assert (stage_rounds(layout), node_rounds(layout)) == ([], [])


def test_a_rank_finds_its_peer_from_either_end() -> None:
    pairs = [(0, 3), (1, 2)]
    assert [peer_in(pairs, rank) for rank in range(5)] == [3, 2, 1, 0, None]


def test_a_layout_travels_as_text() -> None:
    assert Layout.read(ARTICLE.told()) == ARTICLE
