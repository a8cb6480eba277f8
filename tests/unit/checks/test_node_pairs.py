"""Rounds of pairs, and who is to blame."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.condafleet.core.plugins.module_utils import node_pairs


@given(st.integers(min_value=2, max_value=25))
def test_all_rounds_together_hold_every_pair_once(count: int) -> None:
    nodes = [f"n{number}" for number in range(count)]
    found = node_pairs.rounds(nodes, 1000)
    for pairs in found:
        names = list(itertools.chain(*pairs))
        assert len(set(names)) == len(names)
    tried = {frozenset(pair) for pairs in found for pair in pairs}
    assert tried == {frozenset(pair) for pair in itertools.combinations(nodes, 2)}
    assert sum(len(pairs) for pairs in found) == count * (count - 1) // 2


@pytest.mark.parametrize("nodes", [[], ["a"]])
def test_alone_nobody_has_a_pair(nodes: list[str]) -> None:
    assert node_pairs.rounds(nodes, 3) == []


def test_rounds_can_be_bounded() -> None:
    found = node_pairs.rounds([f"n{number}" for number in range(500)], 3)
    assert [len(pairs) for pairs in found] == [250, 250, 250]


@given(
    st.integers(min_value=3, max_value=12).flatmap(
        lambda count: st.tuples(st.just(count), st.integers(min_value=0, max_value=count - 1))
    )
)
def test_a_single_bad_node_is_the_culprit_and_no_other(drawn: tuple[int, int]) -> None:
    count, sick = drawn
    nodes = [f"n{number:02}" for number in range(count)]
    pairs = [pair for one in node_pairs.rounds(nodes, 1000) for pair in one]
    verdict = node_pairs.judge({pair: nodes[sick] in pair for pair in pairs})
    assert list(verdict.culprits) == [nodes[sick]]
    assert verdict.unclear == {}


def test_it_is_said_who_was_good_with_others() -> None:
    bad = {("a", "b"): True, ("c", "d"): False, ("a", "c"): True, ("b", "d"): False}
    assert node_pairs.judge(bad).culprits == {"a": "all its 2 pairs were bad, and b and c were good with others"}


def test_where_every_pair_is_bad_nobody_is_blamed() -> None:
    verdict = node_pairs.judge({("a", "b"): True, ("c", "d"): True})
    assert verdict.culprits == {}
    assert list(verdict.unclear) == ["a", "b", "c", "d"]
    assert verdict.unclear["a"] == "its pair was bad, and no partner has a good one with others"


def test_good_pairs_blame_nobody() -> None:
    assert node_pairs.judge({("a", "b"): False}) == node_pairs.Verdict({}, {})
