"""Hunts in networks of any form, by a path-vector protocol of the test's own: what always holds of them.

Messages of one session arrive in their order; which session is next is drawn.
"""

from __future__ import annotations

import random
from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from controller.bgp import AsPath, Prefix
from controller.observe.event import Announcement, Event
from labs.hunting.analysis import Hunt, analyse
from labs.hunting.told import Told

P = Prefix("192.0.2.0/24")
SITE_AS = 64500


class Network:
    """Routers that prefer short paths, and stubs of ours at some of them, which announce and withdraw."""

    def __init__(self, links: set[tuple[int, int]], stubs: list[int], seed: int) -> None:
        self.near: dict[str, set[str]] = {}
        for a, b in links:
            self._link(f"r{a}", f"r{b}")
        self.stubs = {f"site{i}": f"r{router}" for i, router in enumerate(stubs, 1)}
        for site, router in self.stubs.items():
            self._link(site, router)
        self.ases = {n: SITE_AS if n.startswith("site") else 65000 + int(n[1:]) for n in self.near}
        self.heard: dict[str, dict[str, AsPath]] = {node: {} for node in self.near}
        self.best: dict[str, tuple[str, AsPath] | None] = dict.fromkeys(self.near)
        self.wires: dict[tuple[str, str], deque[AsPath | None]] = {}
        self.last: dict[tuple[str, str], AsPath | None] = {}
        self.events: list[Event] = []
        self.chance = random.Random(seed)

    def _link(self, a: str, b: str) -> None:
        self.near.setdefault(a, set()).add(b)
        self.near.setdefault(b, set()).add(a)

    def say(self, sender: str, receiver: str, path: AsPath | None) -> None:
        if self.last.get((sender, receiver)) == path:
            return
        self.last[sender, receiver] = path
        self.wires.setdefault((sender, receiver), deque()).append(path)
        number = len(self.events) + 1
        announced = () if path is None else (Announcement(P, path, None),)
        self.events.append(
            Event(
                number, number * 1000, sender, receiver, f"{sender}>{receiver}", f"{receiver}>{sender}",
                self.ases[sender], self.ases[receiver], "update", announced, () if path else (P,),
            )
        )  # fmt: skip

    def origin(self, site: str, announced: bool) -> None:
        self.say(site, self.stubs[site], (SITE_AS,) if announced else None)

    def settle(self) -> None:
        while waiting := [wire for wire, queue in sorted(self.wires.items()) if queue]:
            sender, receiver = self.chance.choice(waiting)
            path = self.wires[sender, receiver].popleft()
            if receiver in self.stubs:
                continue
            if path is None or self.ases[receiver] in path:
                self.heard[receiver].pop(sender, None)
            else:
                self.heard[receiver][sender] = path
            self.choose(receiver)

    def choose(self, node: str) -> None:
        best = min(self.heard[node].items(), key=lambda one: (len(one[1]), one[0]), default=None)
        if best == self.best[node]:
            return
        self.best[node] = best
        for neighbour in sorted(self.near[node]):
            told = best is not None and best[0] != neighbour
            self.say(node, neighbour, (self.ases[node], *best[1]) if told and best is not None else None)


@st.composite
def networks(draw: st.DrawFn) -> Network:
    size = draw(st.integers(2, 6))
    tree = {(draw(st.integers(0, node - 1)), node) for node in range(1, size)}
    pairs = [(a, b) for a in range(size) for b in range(a + 1, size)]
    more = draw(st.sets(st.sampled_from(pairs)))
    stubs = draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=2, unique=True))
    return Network(tree | more, stubs, draw(st.integers(0, 10_000)))


def hunted(network: Network, *, everywhere: bool) -> tuple[Hunt, Told]:
    """Announce at all stubs, settle, withdraw at the first or at all, settle; return what that was."""
    for site in network.stubs:
        network.origin(site, announced=True)
    network.settle()
    before = list(network.events)
    for site in list(network.stubs) if everywhere else list(network.stubs)[:1]:
        network.origin(site, announced=False)
    network.settle()
    after = network.events[len(before) :]
    routers = [n for n in network.near if n not in network.stubs]
    hunt = analyse(
        after, before=before, prefix=P, routers=routers, origins=network.stubs, everywhere=everywhere
    )
    return hunt, Told(P, network.stubs, before)


@given(networks())
def test_what_is_held_at_rest_stands_and_leads_to_an_origin(network: Network) -> None:
    _, told = hunted(network, everywhere=True)
    routers = {n for n in network.near if n not in network.stubs}
    assert routers <= told.holders().keys() and all(told.holders().values())
    for node in told.senders():
        seen: list[str] = []
        at: str | None = node
        while at is not None and at not in network.stubs:
            assert at not in seen, "a loop at rest"
            seen.append(at)
            at = told.leads_to(at)
        assert at is not None


@given(networks())
def test_a_withdrawal_everywhere_ends_with_nothing_held_and_all_loops_over(network: Network) -> None:
    hunt, _ = hunted(network, everywhere=True)
    assert hunt.zombies == ()
    assert hunt.loops is not None and all(loop.end_s is not None for loop in hunt.loops)
    assert all(set(loop.members).isdisjoint(network.stubs) for loop in hunt.loops)
    assert hunt.updates == sum(s.announcements + s.withdrawals for s in hunt.sessions)
    if len(network.stubs) == 1:
        assert hunt.invalid == hunt.updates - hunt.withdrawals, "the origin had said so before anybody else"


@given(networks().filter(lambda n: len(n.stubs) == 2))
def test_a_withdrawal_at_one_of_two_ends_with_paths_that_stand(network: Network) -> None:
    hunt, _ = hunted(network, everywhere=False)
    assert hunt.zombies == ()
    assert hunt.loops is not None and all(loop.end_s is not None for loop in hunt.loops)
    assert hunt.invalid is not None and hunt.invalid <= hunt.updates - hunt.withdrawals
