"""Hierarchies drawn by chance: contracts that fit together, whatever the size and the seed."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from labs.topology.as_graph import AsGraph, as_graph


@given(st.integers(7, 200), st.integers(0, 2**32))
def test_everybody_buys_from_above_and_reaches_the_top(n: int, seed: int) -> None:
    graph = as_graph(n, seed)
    assert len(graph.tiers) == n
    assert len({frozenset((a, b)) for a, b, _ in graph.contracts}) == len(graph.contracts)
    above = providers(graph)
    for name, tier in graph.tiers.items():
        assert tier == 1 or above[name], f"{name} has no provider"
        assert all(graph.tiers[p] <= tier and graph.tiers[p] < 3 for p in above[name])
        assert acyclic(name, above)
    peers = [{graph.tiers[a], graph.tiers[b]} for a, b, relation in graph.contracts if relation == "peer"]
    assert all(len(tiers) == 1 for tiers in peers)


@given(st.integers(7, 60), st.integers(0, 2**32))
def test_equal_arguments_give_equal_graphs(n: int, seed: int) -> None:
    assert as_graph(n, seed) == as_graph(n, seed)


def test_few_have_many_neighbours_and_most_have_few() -> None:
    degrees: Counter[str] = Counter()
    for a, b, _ in as_graph(500, 1).contracts:
        degrees.update((a, b))
    ordered = sorted(degrees.values())
    assert ordered[len(ordered) // 2] <= 2 and ordered[-1] >= 50


def providers(graph: AsGraph) -> dict[str, list[str]]:
    return {
        name: [b for a, b, what in graph.contracts if a == name and what == "provider"]
        for name in graph.tiers
    }


def acyclic(name: str, above: dict[str, list[str]]) -> bool:
    seen, todo = set(), list(above[name])
    while todo:
        one = todo.pop()
        if one == name:
            return False
        if one not in seen:
            seen.add(one)
            todo += above[one]
    return True
