"""A hunt's steps on a small path-vector network made of plain Python: rest, order, and putting back."""

from __future__ import annotations

from collections import deque

import pytest

from controller.bgp import AsPath, Prefix
from controller.errors import HeraldError
from controller.observe.event import Announcement, CaptureStats, Event
from controller.observe.rib import RibRow
from labs.hunting.analysis import analyse
from labs.hunting.errors import HuntError
from labs.hunting.run import HuntRun, Wanted

P = Prefix("192.0.2.0/24")


class FakeNetwork:
    """A clique of ``n`` routers with a stub site on r1 (and one on r2): API, wire and RIBs in one.

    Each look at the wire lets one message through, so that a hunt sees many states that are not at rest.
    """

    def __init__(self, n: int = 4) -> None:
        self.asns = {"site1": 64500, "site2": 64500} | {f"r{i}": 65000 + i for i in range(1, n + 1)}
        self.routers = [name for name in self.asns if name.startswith("r")]
        self.neighbours = {r: [s for s in self.routers if s != r] for r in self.routers}
        self.neighbours["r1"].append("site1")
        self.neighbours["r2"].append("site2")
        self.state = Wanted(advertised=False)
        self.asked: list[Wanted] = []
        self.interrupt_at: Wanted | None = None
        self.deaf: str | None = None
        self.dropped = 0
        self.now = 0.0
        self.events: list[Event] = []
        self._adj_in: dict[str, dict[str, AsPath]] = {name: {} for name in self.asns}
        self._told: dict[tuple[str, str], AsPath | None] = {}
        self._queue: deque[tuple[str, str, AsPath | None]] = deque()

    # -- the API
    def wanted(self, prefix: Prefix) -> Wanted:
        assert prefix == P
        return self.state

    def ask(self, _prefix: Prefix, wanted: Wanted, _within_s: float) -> None:
        self.asked.append(wanted)
        self.state = wanted
        for site, router in (("site1", "r1"), ("site2", "r2")):
            on = wanted.advertised and (wanted.sites is None or site in wanted.sites)
            self._say(site, router, (64500,) if on else None)
        if wanted == self.interrupt_at:
            self.interrupt_at = None
            raise KeyboardInterrupt

    # -- the wire
    def fetch(self, after: int) -> tuple[list[Event], CaptureStats]:
        self._deliver()
        stats = CaptureStats(0, self.dropped, 0, len(self.events), 0, 0)
        return [e for e in self.events if e.seq > after], stats

    def wait(self, _after: int, seconds: float) -> None:
        self.now += seconds

    # -- RIBs
    def ribs(self, prefix: Prefix) -> list[RibRow]:
        rows = []
        for router in self.routers:
            best = self._best(router)
            rows += [
                RibRow(router, "bird", prefix, (sender, path) == best, path, None, (), sender)
                for sender, path in self._adj_in[router].items()
            ]
        return rows

    def begin(self) -> None:
        self.began = len(self.events)

    def end(self) -> list[int]:
        self.in_flight_at_end = len(self._queue)
        return [self.events[-1].at_ns + 1]

    # -- routers
    def _say(self, sender: str, receiver: str, path: AsPath | None) -> None:
        if self._told.get((sender, receiver)) == path:
            return
        self._told[sender, receiver] = path
        self._queue.append((sender, receiver, path))
        seq = len(self.events) + 1
        announced = () if path is None else (Announcement(P, path, None),)
        self.events.append(
            Event(
                seq, 10**18 + seq, sender, receiver, f"{sender}>{receiver}", f"{receiver}>{sender}",
                self.asns[sender], self.asns[receiver], "update", announced, () if announced else (P,),
            )
        )  # fmt: skip

    def _best(self, router: str) -> tuple[str, AsPath] | None:
        return min(self._adj_in[router].items(), key=lambda i: (len(i[1]), i[0]), default=None)

    def _deliver(self) -> None:
        if not self._queue:
            return
        sender, router, path = self._queue.popleft()
        if router == self.deaf or not router.startswith("r"):
            return
        if path is None or self.asns[router] in path:
            self._adj_in[router].pop(sender, None)
        else:
            self._adj_in[router][sender] = path
        best = self._best(router)
        for other in self.neighbours[router]:
            tell = best is not None and best[0] != other
            self._say(router, other, (self.asns[router], *best[1]) if best and tell else None)


def hunting(network: FakeNetwork, says: list[str] | None = None) -> HuntRun:
    return HuntRun(
        P,
        routers=network.routers,
        sites=["site1", "site2"],
        api=network,
        wire=network,
        ribs=network.ribs,
        rib_watch=network,
        deadline_s=30,
        say=(says if says is not None else []).append,
        clock=lambda: network.now,
    )


def announced(network: FakeNetwork, sites: tuple[str, ...] | None = ("site1",)) -> FakeNetwork:
    network.ask(P, Wanted(advertised=True, sites=sites), 1)
    network.asked.clear()
    return network


def test_a_hunt_sees_the_whole_withdrawal_and_leaves_the_prefix_as_it_was() -> None:
    network = announced(FakeNetwork())
    before = Wanted(advertised=True, sites=("site1",))
    record = hunting(network).run()
    assert network.asked == [Wanted(advertised=False, sites=("site1",)), before]
    assert record.events[0].sender == "site1"
    assert all(e.seq > record.before[-1].seq for e in record.events)
    # The last thing that was seen takes the prefix from somebody; what puts it back is not in the record.
    assert record.events[-1].withdrawn == (P,)
    hunt = analyse(record.events, prefix=P, routers=network.routers, origins={"site1", "site2"})
    assert hunt.longest_path > 2
    assert {row.node for row in network.ribs(P)} == set(network.routers)


def test_a_prefix_that_is_not_announced_is_announced_first_and_withdrawn_in_the_end() -> None:
    network, says = FakeNetwork(), list[str]()
    hunting(network, says).run()
    assert network.asked == [Wanted(True), Wanted(False), Wanted(False)]
    assert says[0] == "192.0.2.0/24 is not announced: announcing it first"
    assert network.ribs(P) == []


def test_an_interrupt_in_the_middle_puts_it_back_too() -> None:
    network = announced(FakeNetwork())
    network.interrupt_at = Wanted(advertised=False, sites=("site1",))
    with pytest.raises(KeyboardInterrupt):
        hunting(network).run()
    assert network.state == Wanted(advertised=True, sites=("site1",))
    assert {row.node for row in network.ribs(P)} == set(network.routers)


def test_a_withdrawal_at_one_site_ends_at_rest_with_the_other() -> None:
    network = announced(FakeNetwork(), None)
    record = hunting(network).run(["site1"])
    assert network.asked == [Wanted(True, ("site2",)), Wanted(True)]
    assert {e.sender for e in record.events} & {"site1", "site2"} == {"site1"}
    assert network.in_flight_at_end == 0


def test_refusals() -> None:
    network = announced(FakeNetwork())
    with pytest.raises(HuntError, match="no site 'nix': there are site1, site2"):
        hunting(network).run(["nix"])
    with pytest.raises(HuntError, match="not announced at site2"):
        hunting(network).run(["site2"])
    assert network.asked == []


def test_a_network_that_does_not_come_to_rest_is_an_error_and_the_prefix_is_put_back() -> None:
    network = announced(FakeNetwork())
    run = hunting(network)

    original = network.ask

    def ask(prefix: Prefix, wanted: Wanted, within_s: float) -> None:
        network.deaf = None if wanted.advertised else "r4"  # r4 hears of no withdrawal
        original(prefix, wanted, within_s)

    network.ask = ask  # type: ignore[method-assign]  # the fault that is tested
    with pytest.raises(HeraldError, match=r"192\.0\.2\.0/24 is not (gone|stable) after 30 s: .*r4"):
        run.run()
    assert network.state.advertised


def test_packets_that_were_missed_are_counted_from_the_withdrawal_on() -> None:
    network = announced(FakeNetwork())
    network.dropped = 5
    original = network.ask

    def ask(prefix: Prefix, wanted: Wanted, within_s: float) -> None:
        network.dropped += 2
        original(prefix, wanted, within_s)

    network.ask = ask  # type: ignore[method-assign]  # the fault that is tested
    assert hunting(network).run().drops == 2
