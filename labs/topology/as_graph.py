"""Networks and their contracts, drawn by chance: a valley-free hierarchy of any size (pure but for its seed).

Gao's model (2001): a few tier-1 networks are one another's peers; whoever is below buys transit above, and
some of the middle peer with each other. Who already has many customers is likelier to win another, which
gives degrees the power law that is measured on the Internet.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from labs.topology.configs.router import Relation

MIDDLE = 0.25
"""The share of networks that sell transit and buy it, too."""

MULTIHOMED = 0.5
"""The share of networks with two providers."""


@dataclass(frozen=True, slots=True)
class AsGraph:
    """``tiers``: network → 1, 2 or 3 (sells nothing); ``contracts``: (a, b, what b is to a)."""

    tiers: dict[str, int]
    contracts: tuple[tuple[str, str, Relation], ...]


def as_graph(n: int, seed: int) -> AsGraph:
    """Return a hierarchy of ``n`` networks (7 at least); equal arguments give equal graphs."""
    chance = Random(f"as-graph {n} {seed}")
    top = max(3, round(n**0.5 / 2))
    middle = max(2, round(n * MIDDLE))
    tiers = {
        **{f"top{i}": 1 for i in range(1, top + 1)},
        **{f"mid{i}": 2 for i in range(1, middle + 1)},
        **{f"edge{i}": 3 for i in range(1, n - top - middle + 1)},
    }
    tops = [name for name, tier in tiers.items() if tier == 1]
    contracts: list[tuple[str, str, Relation]] = [
        (a, b, "peer") for i, a in enumerate(tops) for b in tops[i + 1 :]
    ]
    weight = dict.fromkeys(tiers, 1)
    sellers = list(tops)
    for name, tier in tiers.items():
        if tier == 1:
            continue
        above = sellers if tier == 2 else [s for s in sellers if tiers[s] == 2]
        for provider in _draw(above, weight, 1 + (chance.random() < MULTIHOMED), chance):
            contracts.append((name, provider, "provider"))
            weight[provider] += 1
        if tier == 2:
            sellers.append(name)
    middles = [name for name, tier in tiers.items() if tier == 2]
    joined = {frozenset(c[:2]) for c in contracts}
    for name in middles:
        others = [o for o in middles if o != name and frozenset((name, o)) not in joined]
        for other in _draw(others, weight, 1, chance):
            contracts.append((name, other, "peer"))
            joined.add(frozenset((name, other)))
    return AsGraph(tiers, tuple(contracts))


def _draw(names: list[str], weight: dict[str, int], count: int, chance: Random) -> list[str]:
    left, drawn = list(names), []
    for _ in range(min(count, len(left))):
        one = chance.choices(left, [weight[name] for name in left])[0]
        left.remove(one)
        drawn.append(one)
    return drawn
