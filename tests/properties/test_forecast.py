"""Laws of every hunt that is foretold, in random networks (Hypothesis)."""

from __future__ import annotations

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from controller.forecast.network import Network, Router
from controller.forecast.simulate import simulate
from tests.forecasting import OURS

DAEMONS = ("bird", "frr", "gobgp", "openbgpd")


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Up to eight routers, each linked at random, and two sites; nobody has heard of the prefix yet."""
    names = [f"r{i}" for i in range(draw(st.integers(1, 8)))]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    links = {pair for pair in pairs if draw(st.booleans())}
    homes = {"site1": draw(st.sampled_from(names)), "site2": draw(st.sampled_from(names))}
    tells = {n: tuple(o for o in names if (n, o) in links or (o, n) in links) for n in names}
    return {
        **{
            n: Router(n, draw(st.sampled_from(DAEMONS)), 65000 + i, tells=tells[n])
            for i, n in enumerate(names)
        },
        **{site: Router(site, "", OURS, tells=(home,), origin=True) for site, home in homes.items()},
    }


def announced(network: Network, seed: int) -> Network:
    """The network once both sites have announced: by the simulation itself, of an origin that comes up."""
    routers = dict(network)
    for _ in range(3 * len(network)):  # nobody's path is longer than the network; three rounds settle ties
        for name, router in network.items():
            if router.origin:
                continue
            routes = {
                other.name: path
                for other in routers.values()
                if name in other.tells and (path := told(other, name)) is not None and router.asn not in path
            }
            best = min(routes, key=lambda n: (len(routes[n]), list(network).index(n)), default=None)
            routers[name] = Router(name, router.daemon, router.asn, routes, best, router.tells)
    return routers


def told(router: Router, to: str) -> tuple[int, ...] | None:
    if router.origin:
        return (OURS,)
    if router.best is None or router.best == to or router.asn is None:
        return None
    return (router.asn, *router.routes[router.best])  # type: ignore[arg-type]


@given(networks(), st.integers(0, 2**32))
def test_a_full_withdrawal_ends_with_nobody_holding_it(network: Network, seed: int) -> None:
    routers = announced(network, seed)
    outcome = simulate(routers, ["site1", "site2"], random.Random(seed).random)
    assert set(outcome.final.values()) <= {None}


@given(networks(), st.integers(0, 2**32))
def test_every_path_tried_is_a_simple_path_to_a_site(network: Network, seed: int) -> None:
    routers = announced(network, seed)
    outcome = simulate(routers, ["site1", "site2"], random.Random(seed).random)
    names = {router.asn: name for name, router in routers.items() if not router.origin}
    for spoken in outcome.spoken:
        path = spoken.path
        if path is None:
            continue
        assert path[-1] == OURS and len(set(path)) == len(path) <= len(names) + 1
        hops = [names[asn] for asn in path[:-1]]
        assert hops[0] == spoken.sender
        assert all(b in routers[a].tells for a, b in itertools.pairwise(hops))
        assert hops[-1] in {home for r in routers.values() if r.origin for home in r.tells}


@given(networks(), st.integers(0, 2**32))
def test_losing_one_of_two_sites_loses_nobody_who_can_reach_the_other(network: Network, seed: int) -> None:
    routers = announced(network, seed)
    outcome = simulate(routers, ["site1"], random.Random(seed).random)
    reached, todo = set(), list(routers["site2"].tells)
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += routers[name].tells
    assert {name for name, path in outcome.final.items() if path is not None} == reached
