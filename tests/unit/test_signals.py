"""What is seen from day to day, and when the breaker is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from controller.addressing.tables import AccountRow
from controller.bgp import Family, Prefix
from controller.guard import scopes
from controller.guard.signals import SignalledBreaker
from controller.observe.evidence import Fate, Moment, Probed, Sight
from controller.rollout.outlook import Trouble, seen_by
from controller.rollout.signals import LOOK_EVERY_S, Signals
from controller.rollout.site import SiteView
from controller.safety.breaker import Exceeded
from controller.safety.policy import Guards, Policy
from controller.safety.windows import Entry, Ledger
from controller.store import open_store
from controller.timeline.tables import TimelineRow
from controller.transport.messages import HealthGrant, HealthWish, Receipt, Waiting
from tests.site_status import status
from tests.stores import a_store

OURS = [Prefix(f"198.18.{n}.0/24") for n in range(100)]
SITES = ("s1", "s2", "s3", "s4")


@dataclass
class FakeLink:
    """Takes grants."""

    granted: list[HealthGrant]

    async def grant(self, grant: HealthGrant) -> Receipt:
        self.granted.append(grant)
        return Receipt(grant.site, 1, "accepted")


@dataclass
class FakeFollower:
    view: SiteView
    link: FakeLink


@dataclass
class World:
    """A controller of four sites, whose clock stands still unless it is set."""

    policy: Policy = field(default_factory=Policy)
    now: float = 1000.0
    held: set[Prefix] = field(default_factory=lambda: set(OURS))
    silent: frozenset[str] = frozenset()
    wanted: set[Prefix] = field(default_factory=lambda: set(OURS))
    told: list[Exceeded] = field(default_factory=list)
    ill: dict[str, int] = field(default_factory=dict)
    away: frozenset[str] = frozenset()
    degrades: list[tuple[str, dict[Prefix, str]]] = field(default_factory=list)
    granted: list[HealthGrant] = field(default_factory=list)
    unserved: list[tuple[str, dict[Prefix, str]]] = field(default_factory=list)
    out: frozenset[str] = frozenset()
    open: frozenset[str] = frozenset()
    fence: int = 7
    jumped: float = 0.0
    held_accounts: int = 0
    foreign: int = 0
    whose: dict[Prefix, str] = field(
        default_factory=lambda: {p: "acme" if n < 50 else "globex" for n, p in enumerate(OURS)}
    )
    entries: list[Entry] = field(default_factory=list)
    down: set[Prefix] = field(default_factory=set)
    probed: list[set[Prefix]] = field(default_factory=list)
    reach: bool = True

    def __post_init__(self) -> None:
        self.signals = Signals(
            self,
            self,
            self.announced,
            self,
            clock=lambda: self.now + self.jumped,
            steady=lambda: self.now,
            addresses=lambda some: {p: p.split("/")[0] for p in some},
        )  # type: ignore[arg-type]

    @property
    def sites(self) -> dict[str, FakeFollower]:
        return {s: FakeFollower(self.view(s), FakeLink(self.granted)) for s in SITES}

    def view(self, site: str) -> SiteView:
        waiting = tuple(Waiting(p, "degraded-held: 0 of 2 machines") for p in OURS[: self.ill.get(site, 0)])
        waiting += (Waiting(OURS[99], "1 of 2 machines hold its bindings"),)  # on its way, and not ill
        ill = OURS[: self.ill.get(site, 0)]
        check, named = ("out", "") if site in self.out else ("correlated", site)
        health = tuple(HealthWish(p, named and f"{site}.{p}", check, "", 2, 0, 2, 2, 2) for p in ill)
        sent = dict.fromkeys(OURS, (64500,))
        said = msgspec.structs.replace(
            status(site, waiting=waiting, health=health, sent=sent),
            accounts={f"a{n}": "0" * 64 for n in range(self.held_accounts)},
        )
        return SiteView(site, site not in self.away, "", said)

    @property
    def conflicts(self) -> World:
        return self

    def at(self, site: str) -> list[str]:
        return [f"a{n}" for n in range(self.foreign)]

    def announced(self, prefixes: Collection[Prefix]) -> Mapping[Prefix, str]:
        return {p: self.whose[p] for p in prefixes if p in self.wanted}

    def look(self, sites: Sequence[str], touched: Sequence[Prefix], targets: Mapping[Prefix, str]) -> Moment:
        return Moment(
            sights=tuple(
                Sight(
                    "rib", o, s, Family.IPV4, holds=dict.fromkeys(self.held, (64500,)), total=len(self.held)
                )
                if o not in self.silent
                else Sight("rib", o, s, Family.IPV4, state="silent")
                for o in ("t1", "t2", "t3")
                for s in sites
            )
        )

    def probe(self, sites: Sequence[str], targets: Mapping[Prefix, str]) -> list[Probed]:
        """Two observers that follow their routes, and one that has none."""
        self.probed.append(set(targets))
        fates: dict[bool, Fate] = {True: "answered", False: "timed-out"}
        if not self.reach:
            return [Probed(o, s, p, "unsent", "unsent") for o in ("t1", "t2") for s in sites for p in targets]
        found = [
            Probed(o, s, p, "answered", fates[p not in self.down])
            for o in ("t1", "t2")
            for s in sites
            for p in targets
        ]
        return [*found, *(Probed("g1", s, p, "answered", "unreachable") for s in sites for p in targets)]

    def ledger(self, now: float) -> Ledger:
        return Ledger(self.policy, self.entries)

    def held_scopes(self, now: float) -> frozenset[str]:
        return self.open

    def troubled(self, site: str, trouble: Trouble, whose: Mapping[Prefix, str]) -> None:
        (self.degrades if trouble == "degraded" else self.unserved).append((site, dict(whose)))

    def exceeded(self, signal: Exceeded) -> None:
        self.told.append(signal)

    def after(self, seconds: float) -> list[Exceeded]:
        """Let time pass, and return what the breaker was told at its end."""
        self.now += seconds
        before = len(self.told)
        asyncio.run(self.signals.once())
        return self.told[before:]


def test_prefixes_that_fall_out_of_sight_are_told_once() -> None:
    world = World()
    assert world.after(0) == []
    world.held -= set(OURS[:30])
    (signal,) = world.after(LOOK_EVERY_S)
    assert signal.check == "visibility"
    assert signal.scope == "account:acme"  # all of them are acme's: the smallest scope that explains it
    assert "30 of 100 prefixes have gone from the sight of independent observers" in signal.says
    assert world.after(LOOK_EVERY_S) == []  # a breaker that somebody closes stays closed …
    world.held -= set(OURS[30:60])
    (again,) = world.after(LOOK_EVERY_S)  # … unless more falls
    assert (again.scope, "30 of 70" in again.says) == ("fleet", True)


def test_what_nobody_wants_any_more_falls_unheard() -> None:
    world = World()
    world.after(0)
    world.held -= set(OURS[:30])
    world.wanted -= set(OURS[:30])
    assert world.after(LOOK_EVERY_S) == []


def test_observers_that_go_silent_or_shrink_alone_are_not_a_fall() -> None:
    world = World()
    world.after(0)
    world.silent = frozenset({"t1", "t2", "t3"})
    assert world.after(LOOK_EVERY_S) == []
    world.silent = frozenset({"t1", "t2"})
    assert world.after(LOOK_EVERY_S) == []


def test_a_lost_session_makes_another_observer_of_a_router() -> None:
    world = World()
    moment = world.look(SITES, (), {})
    lost = msgspec.structs.replace(moment.sights[0], state="silent", holds={})
    before = {s.observer for s in seen_by(moment, 0.0)}
    after = {
        s.observer for s in seen_by(msgspec.structs.replace(moment, sights=(lost, *moment.sights[1:])), 1.0)
    }
    assert len(before & after) == 2
    assert len(after - before) == 1


def test_a_quorum_of_ill_sites_is_told_once_and_one_ill_site_is_not() -> None:
    world = World()
    world.ill = {"s1": 3}
    assert world.after(5) == []
    world.ill = {"s1": 3, "s2": 1}
    (signal,) = world.after(5)
    assert (signal.check, signal.scope) == ("correlated", "class:withdraw")
    assert "2 of 4 sites (s1, s2) want to withdraw 3 prefixes" in signal.says
    assert world.after(5) == []
    world.ill = {"s1": 3, "s2": 1, "s3": 1}
    assert len(world.after(5)) == 1  # it spreads


def test_a_disarmed_guard_hears_no_correlation() -> None:
    world = World(policy=Policy(guards=Guards(correlated=False)))
    world.ill = {"s1": 3, "s2": 1, "s3": 2}
    assert world.after(5) == []


def test_sites_that_are_away_wish_nothing() -> None:
    world = World(away=frozenset({"s2", "s3"}))
    world.ill = {"s1": 3, "s2": 1, "s3": 2}
    assert world.after(5) == []


def test_people_are_told_once_of_what_stays_though_too_few_machines_serve_it() -> None:
    world = World()
    world.ill = {"s1": 2}
    world.after(5)
    assert world.degrades == [], "at one look it may be a restart"
    world.after(5)
    world.after(5)
    assert world.degrades == [("s1", {OURS[0]: "acme", OURS[1]: "acme"})]
    world.ill = {"s1": 3}
    world.after(5)
    world.after(5)
    assert world.degrades[1:] == [("s1", {OURS[2]: "acme"})]
    world.ill = {}
    world.after(5)
    world.ill = {"s1": 1}
    world.after(5)
    world.after(5)
    assert world.degrades[2:] == [("s1", {OURS[0]: "acme"})], "it was well meanwhile"
    assert world.unserved == []
    world.out = frozenset({"s1"})
    for _ in range(3):
        world.after(5)
    assert world.unserved == [("s1", {OURS[0]: "acme"})], "it has been withdrawn there"


def test_a_site_that_wishes_alone_is_granted_it_and_a_quorum_is_not() -> None:
    world = World()
    world.ill = {"s1": 1}
    world.after(5)
    world.after(world.policy.correlated.window_s - 1)
    assert world.granted == []
    world.jumped = 86400.0
    world.after(0)
    assert world.granted == [], "a clock that jumps is no time that has passed"
    world.after(1)
    assert world.granted == [HealthGrant("s1", (f"s1.{OURS[0]}",), fence=7)]
    world.open = frozenset({"class:withdraw"})
    world.after(5)
    assert len(world.granted) == 1, "the breaker is open"
    together = World()
    together.ill = {"s1": 1, "s2": 1}
    for _ in range(100):
        together.after(5)
    assert together.granted == []


@pytest.mark.stores
def test_what_is_degraded_is_told_to_whom_it_concerns(tmp_path: Path) -> None:
    store = open_store(a_store(tmp_path / "herald.db"))
    with store.write() as session:
        session.add(AccountRow(id="acme", name="Acme", created_at=datetime.now(UTC)))
        session.add(AccountRow(id="globex", name="Globex", created_at=datetime.now(UTC)))
    breaker = SignalledBreaker(store, Policy())
    breaker.troubled("s1", "degraded", {OURS[0]: "acme", OURS[1]: "globex"})
    with store.read() as session:
        told = {e.account_id: e for e in session.scalars(select(TimelineRow))}
    assert {e.type for e in told.values()} == {"site.degraded"}
    assert told["acme"].detail["prefixes"] == [OURS[0]], "an account hears of its own"
    assert told["_operators"].detail["count"] == 2
    assert breaker.held_scopes(0.0) == frozenset()


def harmed(*, owned: bool = False) -> World:
    """Return a world in which a task has taken something from three prefixes of three accounts."""
    world = World(whose={p: f"a{n}" for n, p in enumerate(OURS)})
    world.entries = [
        Entry(world.now, "task:t", f"a{n}", "unbind", OURS[n], ("s1",), owned=owned) for n in range(3)
    ]
    return world


def test_services_of_changed_accounts_that_fail_are_told_once_and_open_the_actor() -> None:
    world = harmed()
    world.after(0)
    assert world.probed and set(OURS[:3]) < world.probed[-1]
    world.down = set(OURS[:2])
    assert world.after(LOOK_EVERY_S) == [], "at one look a route may be on its way"
    (signal,) = world.after(LOOK_EVERY_S)
    assert (signal.check, signal.scope) == ("health", "actor:task:t")
    assert "services of 2 of 3 accounts that were changed lately fail (67%)" in signal.says
    assert set(signal.accounts) == {"a0", "a1"}
    assert world.after(LOOK_EVERY_S) == []
    world.down = set(OURS[:3])
    assert [*world.after(LOOK_EVERY_S), *world.after(LOOK_EVERY_S)] != [], "it spreads"


def test_what_ails_all_services_alike_has_not_come_from_the_changes() -> None:
    world = harmed()
    world.after(0)
    world.down = set(OURS) - {min(world.probed[-1] - set(OURS[:3]))}
    assert [*world.after(LOOK_EVERY_S), *world.after(LOOK_EVERY_S)] == []


def test_probes_that_could_not_be_sent_are_no_data() -> None:
    world = harmed()
    world.reach = False
    world.down = set(OURS[:3])
    assert [*world.after(0), *world.after(LOOK_EVERY_S), *world.after(LOOK_EVERY_S)] == []


def test_nothing_is_probed_when_nobody_took_anything_or_owners_did_it_themselves() -> None:
    world = harmed(owned=True)
    world.down = set(OURS[:3])
    assert [*world.after(0), *world.after(LOOK_EVERY_S), *world.after(LOOK_EVERY_S)] == []
    assert world.probed == []


def test_a_store_that_knows_less_than_half_of_what_sites_hold_is_told_once() -> None:
    world = World(held_accounts=40, foreign=20)
    assert world.after(5) == []
    world.foreign = 21
    (signal,) = world.after(5)
    assert (signal.check, signal.scope) == ("shrinkage", "fleet")
    assert "gives 19 and gave 40 before" in signal.says
    assert world.after(5) == []
    few = World(held_accounts=5, foreign=5)
    assert few.after(5) == [], "of so few nobody can tell"
    disarmed = World(policy=Policy(guards=Guards(shrinkage=False)), held_accounts=40, foreign=40)
    assert disarmed.after(5) == []


@pytest.mark.stores
def test_a_signal_opens_the_breaker_in_the_store_once_and_is_told(tmp_path: Path) -> None:
    store = open_store(a_store(tmp_path / "herald.db"))
    with store.write() as session:
        session.add(AccountRow(id="acme", name="Acme", created_at=datetime.now(UTC)))
    rung: list[int] = []
    breaker = SignalledBreaker(store, Policy(), lambda: rung.append(1))
    for _ in range(2):  # a signal that comes again finds the scope open
        breaker.exceeded(
            Exceeded("account:acme", "visibility", "30 of 100 prefixes have gone", 0.0, ("acme",))
        )
    assert breaker.ledger(0.0).entries == ()
    with store.read() as session:
        assert list(scopes.load(session).open) == ["account:acme"]
        told = [e.type for e in session.scalars(select(TimelineRow)) if e.account_id == "acme"]
    assert told == ["breaker.opened"]
    assert rung
