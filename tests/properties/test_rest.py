"""At rest means: whatever is still on its way changes nobody's RIB. Tried on random path-vector networks."""

from __future__ import annotations

import random
from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.bgp import AsPath, Prefix
from controller.observe.event import Announcement, Event
from controller.observe.holding import Holding
from controller.observe.rib import RibRow
from controller.observe.settled import unsettled

P = Prefix("192.0.2.0/24")
ORIGIN = 0


class Network:
    """Routers 1.. on random links, the stub 0 on router 1; each session delivers in order."""

    def __init__(self, n: int, links: set[tuple[int, int]]) -> None:
        self.neighbours: dict[int, list[int]] = {i: [] for i in range(1, n + 1)}
        for a, b in links:
            self.neighbours[a].append(b)
            self.neighbours[b].append(a)
        self.adj_in: dict[int, dict[int, AsPath]] = {i: {} for i in self.neighbours}
        self.told: dict[tuple[int, int], AsPath] = {}
        self.flight: dict[tuple[int, int], deque[AsPath | None]] = {}
        self.holding = Holding(P)
        self.seq = 0

    def say(self, sender: int, receiver: int, path: AsPath | None) -> None:
        if self.told.get((sender, receiver)) == path:
            return
        if path is None:
            del self.told[sender, receiver]
        else:
            self.told[sender, receiver] = path
        self.flight.setdefault((sender, receiver), deque()).append(path)
        self.seq += 1
        announced = () if path is None else (Announcement(P, path, None),)
        self.holding.apply(
            Event(
                self.seq, self.seq, f"r{sender}", f"r{receiver}", f"{sender}>{receiver}",
                f"{receiver}>{sender}", 65000 + sender, 65000 + receiver, "update", announced,
                () if announced else (P,),
            )
        )  # fmt: skip

    def waiting(self) -> list[tuple[int, int]]:
        return sorted(session for session, queue in self.flight.items() if queue)

    def deliver(self, session: tuple[int, int]) -> None:
        sender, router = session
        path = self.flight[session].popleft()
        if path is None or 65000 + router in path:
            self.adj_in[router].pop(sender, None)
        else:
            self.adj_in[router][sender] = path
        best = self.best(router)
        for other in self.neighbours[router]:
            export = (65000 + router, *best[1]) if best is not None and best[0] != other else None
            self.say(router, other, export)

    def best(self, router: int) -> tuple[int, AsPath] | None:
        return min(self.adj_in[router].items(), key=lambda i: (len(i[1]), i[0]), default=None)

    def rows(self) -> list[RibRow]:
        return [
            RibRow(f"r{r}", "bird", P, (s, p) == self.best(r), p, None, (), f"r{s}")
            for r, brought in self.adj_in.items()
            for s, p in brought.items()
        ]

    def at_rest(self) -> bool:
        routers = {f"r{i}" for i in self.neighbours}
        return unsettled(self.rows(), self.holding.held(), routers) is None


def network(chance: random.Random) -> Network:
    n = chance.randint(2, 5)
    pairs = [(a, b) for a in range(1, n + 1) for b in range(a + 1, n + 1)]
    return Network(n, set(chance.sample(pairs, chance.randint(1, len(pairs)))))


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_what_is_on_its_way_at_rest_changes_nothing(seed: int) -> None:
    """Unless a session carries a change and its undoing: of such only that they cancel out is known."""
    chance = random.Random(seed)
    net = network(chance)
    asks: list[AsPath | None] = [(65000,), None, (65000,), None]
    for ask in asks:
        net.say(ORIGIN, 1, ask)
        while waiting := net.waiting():
            session = chance.choice(waiting)
            at_rest, before = net.at_rest(), net.rows()
            alone, last = len(net.flight[session]) == 1, net.flight[session][-1]
            net.deliver(session)
            if at_rest and alone:
                assert net.rows() == before
            if at_rest and last is not None and 65000 + session[1] not in last:
                assert any(r.as_path == last and r.node == f"r{session[1]}" for r in before)
        assert net.at_rest()
        assert bool(net.rows()) == (ask is not None)
