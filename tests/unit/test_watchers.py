"""Those who look around a wave: what they gather, and what they make of those who do not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select

from controller.addressing.intents import temporary_service
from controller.bgp import Family, Prefix
from controller.guard.tables import HoldRow
from controller.observe.adjacencies import Adjacencies
from controller.observe.elsewhere import Held
from controller.observe.event import Announcement, Event, Kind
from controller.observe.evidence import Moment, Probed, Sight, Word
from controller.observe.inventory import Interface, Inventory, Node, Site
from controller.observe.looking import Looker
from controller.observe.probes import links
from controller.observe.readers.errors import ReaderError, ReaderGarbledError, ReaderUnreachableError
from controller.observe.readers.session import Session
from controller.observe.rib import RibRow
from controller.rollout import records
from controller.rollout.baselines import Baselines
from controller.rollout.delivery import Footprint
from controller.rollout.gatekeeper import GateQuestion
from controller.rollout.intended import Intended
from controller.rollout.tables import RolloutRow, SiteTreeRow
from controller.rollout.watchers import SAMPLED, Watchers
from controller.safety.policy import Gates, Policy
from controller.snapshots import outbox
from controller.snapshots.model import BgpPrefixObject, BindingObject, Change, ChangeSet, PrefixObject
from controller.store import Store, open_store
from controller.transport.errors import TransportUnreachableError
from controller.transport.messages import Command, Receipt, SiteStatus
from tests.guarding import unguarded
from tests.properties.test_gate_laws import status
from tests.stores import a_store

MINE = Prefix("192.0.2.0/24")
OTHERS = [Prefix(f"198.18.{n}.0/24") for n in range(20)]
BGP = BgpPrefixObject("g", "p", MINE, None, advertised=True)


# -- watchers ----------------------------------------------------------------------------------------------


class FakeLink:
    """An agent that says ``told`` and whose speaker sends ``sent``; None: nobody answers."""

    def __init__(self, site: str, sent: Sequence[Prefix] | None) -> None:
        self.site = site
        self.sent = sent

    async def deliver(self, command: Command) -> Receipt:
        raise AssertionError("who looks sends nothing")

    async def status(self, after: int = 0, wait: float = 0.0) -> SiteStatus:
        if self.sent is None:
            raise TransportUnreachableError(f"{self.site}: nobody answers")
        return status(self.site)

    async def adj_rib_out(self) -> list[RibRow]:
        return [RibRow(self.site, "exabgp", p, True, (64500,), "10.0.0.1") for p in self.sent or ()]

    async def close(self) -> None:
        pass


class FakeLooker:
    """Sees what ``FakeLink`` sends, and remembers what it was asked."""

    def __init__(self, agents: Mapping[str, FakeLink]) -> None:
        self.agents = agents
        self.targets: list[Mapping[Prefix, str]] = []

    def look(
        self,
        sites: Sequence[str],
        touched: Sequence[Prefix],
        targets: Mapping[Prefix, str],
        mine: frozenset[Prefix],
    ) -> Moment:
        self.targets.append(dict(targets))
        held = {s: dict.fromkeys(self.agents[s].sent or (), (64500,)) for s in sites}
        sights = tuple(Sight("rib", "t", s, Family.IPV4, holds=held[s], total=20) for s in sites)
        probes = tuple(
            Probed("t", s, p, "answered", "answered", (s,) if p in held[s] else (), mine=p in mine)
            for s in sites
            for p in targets
        )
        return Moment((), sights, probes, frozenset({"rib", "probe"}))


class FakeIntended:
    def __init__(self) -> None:
        self.unwanted: frozenset[Prefix] = frozenset()

    def addresses(self, prefixes: Sequence[Prefix]) -> dict[Prefix, str]:
        return {p: p.split("/")[0] for p in prefixes}

    def owned(self, account_id: str, prefixes: Sequence[Prefix]) -> frozenset[Prefix]:
        return frozenset()

    def gone(self, site: str, prefixes: frozenset[Prefix]) -> frozenset[Prefix]:
        return prefixes & self.unwanted

    def unasked(self, question: GateQuestion) -> tuple[Prefix, ...]:
        return ()


class Scene:
    def __init__(self, folder: Path) -> None:
        self.agents = {"site1": FakeLink("site1", OTHERS), "site2": FakeLink("site2", OTHERS)}
        self.looker, self.intended, self.folder = FakeLooker(self.agents), FakeIntended(), folder
        self.now = 0.0
        self.watchers = self.made()

    def made(self) -> Watchers:
        return Watchers(
            self.agents,
            self.looker,
            self.intended,
            Baselines(self.folder),
            policy=lambda: Policy(gates=Gates(observers=1)),
            clock=lambda: self.now,
            settle_s=0.0,
        )

    def question(self, *, announce: bool = True) -> GateQuestion:
        bgp = msgspec.structs.replace(BGP, advertised=announce)
        footprint = Footprint(((MINE, bgp),), False)
        return GateQuestion("r", "acme", 0, ("site1",), ("site2",), footprint, not announce, 0.0)


def test_a_wave_is_judged_by_its_baseline_even_after_a_restart(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "gates")
    assert asyncio.run(scene.watchers.baseline(scene.question())).outcome == "pass"
    scene.agents["site1"].sent = [MINE, *OTHERS[3:]]
    again = scene.made()  # a controller that was killed meanwhile
    answer = asyncio.run(again.judge(scene.question()))
    assert answer.outcome == "fail", answer
    assert "3 of 20 unchanged ipv4 prefixes lost" in answer.reason
    scene.intended.unwanted = frozenset(OTHERS[:3])  # their own owners withdrew them
    assert asyncio.run(again.judge(scene.question())).outcome == "pass"


def test_a_baseline_that_fails_for_a_moment_is_looked_at_again(tmp_path: Path) -> None:
    """A route that was sent a moment ago has not come to the neighbours yet: that is no ill canary."""
    scene = Scene(tmp_path / "gates")
    looked = scene.looker.look
    for blind, outcome in ((2, "pass"), (3, "fail")):
        left = iter([True] * blind)

        def late(*asked: Any, left: Iterator[bool] = left) -> Moment:
            seen = looked(*asked)
            if not next(left, False):
                return seen
            sights = tuple(msgspec.structs.replace(s, holds={}) for s in seen.sights)
            return msgspec.structs.replace(seen, sights=sights)

        scene.looker.look = late  # type: ignore[method-assign]
        assert asyncio.run(scene.watchers.baseline(scene.question())).outcome == outcome


def test_unchanged_prefixes_are_sampled_and_the_same_ones_asked_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "gates")
    asyncio.run(scene.watchers.baseline(scene.question()))
    asyncio.run(scene.watchers.judge(scene.question()))
    first, second = scene.looker.targets
    assert first == second
    assert len(first) == SAMPLED + 1
    assert MINE in first


def test_an_agent_that_is_away_stops_what_is_subtractive(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "gates")
    scene.agents["site1"].sent = [MINE, *OTHERS]
    assert asyncio.run(scene.watchers.baseline(scene.question(announce=False))).outcome == "pass"
    scene.agents["site1"].sent = None
    answer = asyncio.run(scene.watchers.judge(scene.question(announce=False)))
    assert answer.outcome != "pass"
    assert "site1: nobody answers" in answer.evidence["site1 agents"]


def test_a_baseline_that_was_damaged_on_disk_is_none(tmp_path: Path) -> None:
    kept = Baselines(tmp_path)
    moment = Moment((Word("site1", status("site1"), {MINE: (64500,)}),), kinds=frozenset({"rib"}))
    kept.keep("r", 0, moment)
    assert Baselines(tmp_path).of("r", 0) == moment
    assert Baselines(tmp_path).of("r", 1) is None
    (tmp_path / "r-0").write_bytes(b"\xc1")
    assert Baselines(tmp_path).of("r", 0) is None


# -- what is intended --------------------------------------------------------------------------------------


def onboard(
    store: Store, account: str, cidr: Prefix, bound: Prefix | None, number: int, *, advertised: bool
) -> None:
    changes = [
        Change(prefix=PrefixObject(f"{account}-p", cidr, None)),
        Change(bgp_prefix=BgpPrefixObject(f"{account}-g", f"{account}-p", cidr, None, advertised)),
    ]
    if bound is not None:
        changes.append(Change(binding=BindingObject(f"{account}-b", f"{account}-p", bound, "cdn")))
    made = ChangeSet(f"cs{number}", account, "test", "why", "2026-01-01T00:00:00Z", tuple(changes))
    with store.write() as session:
        outbox.append(session, made)
    with store.write() as session:
        records.admit_next(session, ("site1", "site2"), lambda _: None, 0.0, unguarded())


@pytest.mark.stores
def test_what_a_site_is_to_announce_is_read_from_its_own_tree(tmp_path: Path) -> None:
    store = open_store(a_store(tmp_path / "herald.db"))
    with store.write() as session:
        records.join_sites(session, ("site1", "site2"))
    onboard(store, "acme", MINE, Prefix("192.0.2.128/25"), 1, advertised=True)
    onboard(store, "globex", OTHERS[0], None, 2, advertised=False)
    intended = Intended(store)
    assert intended.addresses([MINE, OTHERS[0], OTHERS[1]]) == {MINE: "192.0.2.129"}
    assert intended.owned("acme", [MINE, OTHERS[0]]) == {MINE}
    # Withdrawn is gone; announced is not; and of what nobody here knows nothing is said.
    assert intended.gone("site1", frozenset({MINE, OTHERS[0], OTHERS[1]})) == {OTHERS[0]}
    with store.write() as session:  # the roll-out has not come to site2 yet
        session.delete(session.get(SiteTreeRow, ("site2", "globex")))
    assert intended.gone("site2", frozenset({OTHERS[0]})) == frozenset()


@pytest.mark.stores
@pytest.mark.parametrize("why", ["nobody", "intent", "forged", "elsewhere", "decided"])
def test_a_withdrawal_is_unasked_without_an_intent_or_a_persons_decision(tmp_path: Path, why: str) -> None:
    store = open_store(a_store(tmp_path / "herald.db"))
    with store.write() as session:
        records.join_sites(session, ("site1", "site2"))
    onboard(store, "acme", MINE, MINE, 1, advertised=True)
    now = datetime.now(UTC)
    service, stranger = temporary_service(), temporary_service()
    text = (stranger if why == "forged" else service).sign(
        "acme", "narrow" if why == "elsewhere" else "withdraw", [MINE], asked_by=("t",),
        sites=("site2",) if why == "elsewhere" else None, generation=None, now=now,
        expires_at=now + timedelta(hours=1),
    )  # fmt: skip
    off = Change(bgp_prefix=BgpPrefixObject("acme-g", "acme-p", MINE, None, advertised=False))
    texts = () if why in ("nobody", "decided") else (text,)
    made = ChangeSet("cs2", "acme", "task:t", "why", "2026-01-01T00:00:00Z", (off,), texts)
    with store.write() as session:
        outbox.append(session, made)
        if why == "decided":
            session.add(
                HoldRow(change_set_id="cs2", seq=2, account_id="acme", actor="task:t", checks=[], body=b"",
                        reason="held", since=now, decided="deploy", decided_by="operator:o", decided_at=now)
            )  # fmt: skip
    with store.write() as session:
        records.admit_next(session, ("site1", "site2"), lambda _: None, 0.0, unguarded())
        rollout = session.scalars(select(RolloutRow).order_by(RolloutRow.seq.desc())).first()
    assert rollout is not None and rollout.change_set_id == "cs2"
    asked = GateQuestion(rollout.id, "acme", 0, ("site1",), (), Footprint(((MINE, None),), False), True, 0.0)
    found = Intended(store, service.public_keys).unasked(asked)
    assert found == (() if why in ("intent", "decided") else (MINE,))


# -- looking -----------------------------------------------------------------------------------------------


def network(folder: Path) -> tuple[Path, Inventory]:
    """Two neighbours of site1, each with both families; no capture."""

    def pair(n: int) -> tuple[Interface, Interface]:
        ours, theirs = f"eth{n}", "eth1"
        return (
            Interface(ours, f"t{n}", theirs, (f"10.0.{n}.1/30", f"fd00:{n}::1/64")),
            Interface(theirs, "router1", ours, (f"10.0.{n}.2/30", f"fd00:{n}::2/64")),
        )

    ends = [pair(1), pair(2)]
    nodes = (
        Node("router1", "site", "exabgp", "/r", "/l", "site1", tuple(ours for ours, _ in ends)),
        *(Node(f"t{n}", "transit", "bird", "/r", "/l", None, (ends[n - 1][1],)) for n in (1, 2)),
        Node("vantage", "vantage", "bird", "/r", "/l"),
    )
    inventory = Inventory(
        "lab", "t", "f", str(folder), "i", "a", "t", "", nodes, (Site("site1", "router1", "s", ()),)
    )
    path = folder / "inventory.json"
    path.write_bytes(msgspec.json.encode(inventory))
    return path, inventory


def test_a_sites_neighbours_are_found_by_their_links(tmp_path: Path) -> None:
    _, inventory = network(tmp_path)
    found = links(inventory, inventory.sites[0])
    assert [(k.observer, k.family.value, k.interface, k.source, k.next_hop) for k in found] == [
        ("t1", "ipv4", "eth1", "10.0.1.2", "10.0.1.1"),
        ("t1", "ipv6", "eth1", "fd00:1::2", "fd00:1::1"),
        ("t2", "ipv4", "eth1", "10.0.2.2", "10.0.2.1"),
        ("t2", "ipv6", "eth1", "fd00:2::2", "fd00:2::1"),
    ]


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (ReaderUnreachableError("t2 cannot be read"), "silent"),
        (ReaderGarbledError("t2 answered nonsense"), "garbled"),
        (None, "silent"),  # it answers, and has no session with the site over which it could know
    ],
    ids=["away", "garbled", "no-session"],
)
def test_a_router_that_cannot_tell_is_no_empty_rib(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: ReaderError | None, state: str
) -> None:
    path, _ = network(tmp_path)

    def rib(inventory: Inventory, node: str) -> Sequence[RibRow]:
        if node == "t2" and error is not None:
            raise error
        return [
            RibRow(node, "bird", MINE, True, (64500,), "10.0.0.1", from_="router1"),
            RibRow(node, "bird", OTHERS[0], True, (65001, 64500), "10.0.0.1", from_="t9"),
        ]

    def sessions(inventory: Inventory, node: str, *, deadline_s: float) -> list[Session]:
        up = node == "t1" or error is not None
        return [Session("10.0.1.1", "router1", "Established" if up else "Active", up)]

    monkeypatch.setattr("controller.observe.looking.sessions", sessions)
    seen = Looker(path, read_rib=rib).look(["site1"], [OTHERS[0]], {})
    four = {s.observer: s for s in seen.sights if s.family is Family.IPV4}
    assert four["t1"] == Sight("rib", "t1", "site1", Family.IPV4, holds={MINE: (64500,)}, total=1)
    assert (four["t2"].state, four["t2"].holds) == (state, {})
    assert {s.state for s in seen.sights if s.family is Family.IPV6 and s.observer == "t1"} == {"silent"}
    assert seen.kinds == {"rib"}


def test_routers_of_others_tell_what_comes_from_elsewhere(tmp_path: Path) -> None:
    path, _ = network(tmp_path)

    def rib(inventory: Inventory, node: str) -> Sequence[RibRow]:
        if node == "t2":
            raise ReaderUnreachableError("t2 cannot be read")
        return [
            RibRow(node, "bird", MINE, True, (64500,), "10.0.0.1", from_="router1"),
            RibRow(node, "bird", MINE, False, (3000, 65001), "10.0.0.9", from_="t9"),
        ]

    looker = Looker(path, read_rib=rib)
    paths = {MINE: ((64500,), (3000, 65001))}
    assert looker.held_elsewhere([MINE]) == tuple(
        Held(name, frozenset({64500}), paths) for name in ("t1", "vantage")
    )
    assert Looker(tmp_path / "none.json").held_elsewhere([MINE]) == ()


def test_without_an_inventory_there_is_no_data_from_anybody(tmp_path: Path) -> None:
    seen = Looker(tmp_path / "none.json").look(["site1"], [], {})
    assert seen.sights == ()
    assert seen.kinds == {"rib", "wire", "probe"}


# -- the wire ----------------------------------------------------------------------------------------------


def event(
    seq: int, kind: Kind, *, announces: Sequence[Prefix] = (), withdraws: Sequence[Prefix] = ()
) -> Event:
    return Event(
        seq, seq, "router1", "t1", "10.0.1.1", "10.0.1.2", 64500, 65001, kind,
        tuple(Announcement(p, (64500,), "10.0.1.1") for p in announces), tuple(withdraws),
    )  # fmt: skip


def test_the_wire_tells_what_a_session_holds_and_nothing_of_one_that_is_down() -> None:
    wire = Adjacencies()

    def sight() -> Sight:
        return wire.sight("router1", "site1", "t1", Family.IPV4)

    assert (sight().state, sight().why) == (
        "silent",
        "the ipv4 session of router1 and t1 was never seen to come up",
    )
    wire.apply(event(1, "up"))
    wire.apply(event(2, "update", announces=[MINE, OTHERS[0]]))
    wire.apply(event(3, "update", withdraws=[OTHERS[0]]))
    assert sight().holds == {MINE: (64500,)}
    assert wire.sight("router1", "site1", "t1", Family.IPV6).state == "silent"
    wire.apply(event(4, "down"))
    assert (sight().state, sight().holds) == ("silent", {})
    wire.apply(event(5, "up"))
    assert (sight().state, sight().holds) == ("told", {})
    wire.apply(msgspec.structs.replace(event(6, "update"), error="attribute 2 is cut off"))
    assert sight().state == "garbled"
