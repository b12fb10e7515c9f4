"""Drains: what may go, what an agent makes of it over random histories, and who is told when (SAFETY.md, 5).

The site of the histories is that of ``test_agent_guard``: whatever leaves its speaker must have been let go,
by its guard or by a drain that two operators signed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.agent.drains import Place, accept, sites_of, taken_off, with_drain
from controller.agent.guard import Guarded, Ruling, judge, moot
from controller.agent.journal_records import (
    Drained,
    Emerged,
    JournalState,
    Opened,
    Undrained,
    encode_record,
    replay,
)
from controller.agent.policy import AgentPolicy
from controller.agent.reconcile import Facts
from controller.agent.standing import Standing, StandingRoute
from controller.bgp import Prefix, Route
from controller.rollout.drain_orders import next_tellings
from controller.safety.budget import Limit, Reading
from controller.safety.drain import Drain, DrainRefusedError, elsewhere, sign_drain
from controller.safety.drain import Standing as StandingDrain
from controller.safety.drain_plan import AtSite, Question, plan
from controller.safety.freeze import Freeze
from controller.safety.keepers import keepers
from controller.safety.policy import Lanes, Policy
from controller.snapshots.projection import SiteState
from tests.properties.test_agent_guard import FLEET, FORGER, KEYS, NOON, OURS, POLICY, GuardedHistory
from tests.properties.test_agent_guard import OPERATIONS as GUARDED
from tests.properties.test_site_histories import ACCOUNTS, spread

SITES = ("s1", "s2", "s3", "s4", "s5")
CIDRS = [Prefix(f"198.18.{n}.0/24") for n in range(6)]
ALL = [Prefix(c) for cidrs in ACCOUNTS.values() for c in cidrs]
SOME_SITES = st.frozensets(st.sampled_from(SITES))


@st.composite
def questions(draw: st.DrawFn) -> tuple[Question, list[AtSite]]:
    """Return a fleet's prefixes at s1, where they are seen, what is drained, and a policy."""
    at_site = [
        AtSite(draw(st.sampled_from("ab")), cidr, draw(SOME_SITES) | {"s1"}, draw(st.booleans()))
        for cidr in draw(st.lists(st.sampled_from(CIDRS), unique=True))
    ]
    freezes = (
        [Freeze("f", "account:b", "subtractive", "customer:b", "no", 0.0)] if draw(st.booleans()) else []
    )
    lanes = Lanes(drain_elsewhere=draw(st.integers(1, 3)), drains_at_once=draw(st.integers(1, 3)))
    asked = Question(
        site="s1",
        strategy=draw(st.sampled_from(["prepend", "withdraw"])),
        seen={cidr: draw(SOME_SITES) for cidr in CIDRS},
        drained=draw(SOME_SITES) - {"s1"},
        freezes=freezes,
        actor="operator:o1",
        now=1.0,
        capacity_confirmed=draw(st.booleans()),
        policy=Policy(lanes=lanes),
    )
    return asked, at_site


@given(questions())
def test_what_goes_is_announced_and_observed_at_enough_sites_that_are_not_drained(
    case: tuple[Question, list[AtSite]],
) -> None:
    asked, at_site = case
    found = plan(asked, at_site)
    by_cidr = {one.cidr: one for one in at_site}
    assert {*found.goes, *(s.cidr for s in found.stays)} == by_cidr.keys()
    assert set(found.goes).isdisjoint(s.cidr for s in found.stays)
    for cidr in found.goes:
        one = by_cidr[cidr]
        left = (set(asked.seen[cidr]) & one.sites) - {"s1"} - set(asked.drained)
        assert len(left) >= asked.policy.lanes.drain_elsewhere
        assert not one.locked
        assert not (asked.freezes and one.account_id == "b")
    for stay in found.stays:
        assert stay.why


@given(questions())
def test_no_more_sites_are_drained_at_once_than_the_policy_says(case: tuple[Question, list[AtSite]]) -> None:
    asked, at_site = case
    found = plan(asked, at_site)
    allowed = not found.findings
    assert not allowed or len({"s1", *asked.drained}) <= asked.policy.lanes.drains_at_once
    assert not allowed or (asked.capacity_confirmed and found.goes)
    roomy = Policy(lanes=Lanes(drains_at_once=9, drain_elsewhere=asked.policy.lanes.drain_elsewhere))
    sure = plan(replace(asked, policy=roomy, capacity_confirmed=True), at_site)
    assert bool(sure.findings) == (not sure.goes), "nothing else speaks against it"


@given(questions(), st.sampled_from(SITES[1:]))
def test_seeing_less_and_draining_more_never_lets_more_go(
    case: tuple[Question, list[AtSite]], lost: str
) -> None:
    asked, at_site = case
    goes = set(plan(asked, at_site).goes)
    blind = {cidr: set(sites) - {lost} for cidr, sites in asked.seen.items()}
    assert goes >= set(plan(replace(asked, seen=blind), at_site).goes)
    assert goes >= set(plan(replace(asked, drained={*asked.drained, lost}), at_site).goes)


class DrainedHistory(GuardedHistory):
    """The guarded site, operators that drain it and others, and a controller that is not to be trusted."""

    policy = AgentPolicy(budget=POLICY.budget, drain=(Limit(86400, 3),), keepers=1)

    def __init__(self, count: int) -> None:
        self.taken: frozenset[Prefix] = frozenset()
        self.drains_made = itertools.count(1)
        self.brought_drains: list[str] = []
        self.drained_at: list[float] = []
        super().__init__(count)

    @property
    def out_there(self):
        return {*(self.announced or ()), *self.in_flight}

    def facts(self) -> Facts:
        base, state = super().facts(), self.state
        off = taken_off(
            state,
            sites_of(self.projections.chunks(state), "s1"),
            announced=self.out_there,
            fleet=FLEET,
            least=self.policy.keepers,
        )
        self.taken |= off
        return replace(base, desired=with_drain(base.desired, state.drains.get("s1"), off), taken=self.taken)

    def ruling(self) -> Ruling:
        state = self.state
        return judge(
            Guarded(
                "s1",
                FLEET,
                self.policy,
                state.standing,
                state.budgets,
                self.reading(),
                moot=moot(state.standing, self.projections.desired(state).routes),
                drained=state.drains.keys(),
            )
        )

    def reading(self) -> Reading:
        return Reading(f"boot {self.boot}", self.monotonic)

    def sign_drain(self, bits: int) -> None:
        goes = tuple(c for i, c in enumerate(sorted(ALL)) if bits >> i & 1)
        record = Drain(
            id=f"{next(self.drains_made):032x}",
            site="s1" if bits >> 4 & 3 else "s2",
            strategy="prepend" if bits >> 6 & 1 else "withdraw",
            goes=goes,
            stays=tuple(c for c in sorted(ALL) if c not in goes and bits >> 7 & 1),
            others=("s2", "s3")[: bits >> 8 & 3] if bits >> 8 & 3 < 3 else (),
            elsewhere=1,
            asked_by=("one", "two") if bits >> 10 & 7 else ("one", "one"),
            expires_at=self.wall + timedelta(seconds=60),
            why="new cards",
        )
        key = FORGER if bits >> 13 & 7 == 0 else OURS
        self.brought_drains.append(sign_drain(record, key.private_bytes_raw()))
        self.bring_drain(0)

    def bring_drain(self, bits: int) -> None:
        """Bring a drain, an old one at times; nothing of the accounts' chunks moves by it."""
        if not self.brought_drains:
            return
        before = dict(self.state.accounts)
        place = Place(
            state=self.state,
            policy=self.policy,
            fleet=FLEET,
            sites=sites_of(self.projections.chunks(self.state), "s1"),
            reach=None if self.announced is None else frozenset(r.prefix for r in self.out_there),
            busy="",
            keys=KEYS,
            wall=self.wall,
            now=self.reading(),
        )
        text = self.brought_drains[-1 - bits % min(3, len(self.brought_drains))]
        try:
            made = accept(text, place)
        except DrainRefusedError:
            return
        if made is None:
            return
        self.check_accepted(made)
        self.journal(made)
        assert self.state.accounts == before

    def check_accepted(self, made: Drained) -> None:
        """I1, I10: enough sites are left to keep each prefix, and the lane's budget holds."""
        out = {"s1", *self.state.drains}
        sites = sites_of(self.projections.chunks(self.state), "s1")
        for cidr in made.goes:
            left = elsewhere(sites[cidr], FLEET, out)
            assert len(left) >= self.policy.keepers, f"{cidr} would be kept by nobody"
            assert keepers(cidr, sorted(left), self.policy.keepers)
        paid = made.charges["drain"].prefixes if made.charges else ()
        self.drained_at += [self.true_s] * len(paid)
        assert {p for p in made.goes if p in self.rib} <= set(paid)
        for limit in self.policy.drain:
            assert sum(1 for at in self.drained_at if at > self.true_s - limit.seconds) <= limit.number
        if made.site == "s1":
            self.may_leave |= set(made.goes)

    def lift(self, bits: int) -> None:
        for site in sorted(self.state.drains)[: 1 + bits % 2]:
            self.journal(Undrained(self.state.drains[site].id))

    def restored(self) -> None:
        """Once all is lifted the site has exactly what its chunks ask for, with what its guard holds."""
        for drain in list(self.state.drains.values()):
            self.journal(Undrained(drain.id))
        assert self.facts().desired == GuardedHistory.facts(self).desired
        self.let_all_go_on()


Operation = Callable[[DrainedHistory, int], None]

OPERATIONS: dict[Operation, int] = {
    **GUARDED,  # type: ignore[dict-item]  # what every site can do, this one can
    DrainedHistory.sign_drain: 6,
    DrainedHistory.bring_drain: 3,
    DrainedHistory.lift: 3,
}

STEPS = st.tuples(
    st.sampled_from([operation for operation, weight in OPERATIONS.items() for _ in range(weight)]),
    st.integers(0, 2**32 - 1),
)


def named(operation: Operation) -> str:
    return operation.__name__


@settings(max_examples=max(100, settings().max_examples))
@given(machines=st.integers(1, 3), steps=st.lists(STEPS, min_size=20, max_size=80))
def test_no_history_of_drains_breaks_an_invariant_and_lifting_restores_exactly(
    machines: int, steps: list[tuple[Operation, int]]
) -> None:
    site = DrainedHistory(machines)
    for operation, number in steps:
        getattr(site, named(operation))(spread(number))
    site.restored()


def at_s1(*, sites: tuple[str, ...] | None = None, policy: AgentPolicy | None = None) -> Place:
    state = JournalState("s1", "e")
    return Place(
        state=state,
        policy=policy or AgentPolicy(),
        fleet=SITES,
        sites=dict.fromkeys(CIDRS, sites),
        reach=frozenset(CIDRS),
        busy="",
        keys=KEYS,
        wall=NOON,
        now=Reading("b", 1.0),
    )


def record(**given: object) -> str:
    fields: dict[str, object] = {
        "id": "d1", "site": "s1", "strategy": "withdraw", "goes": tuple(CIDRS[:3]), "stays": tuple(CIDRS[3:]),
        "others": (), "elsewhere": 2, "asked_by": ("one", "two"), "expires_at": NOON + timedelta(minutes=1),
        "why": "cards",
    }  # fmt: skip
    key = given.pop("key", OURS)
    return sign_drain(Drain(**{**fields, **given}), key.private_bytes_raw())  # type: ignore[arg-type, attr-defined]


@pytest.mark.parametrize(
    ("given_", "says"),
    [
        ({"key": FORGER}, "none of the keys"),
        ({"asked_by": ("one", "one")}, "two different operators"),
        ({"expires_at": NOON}, "it expired"),
        ({"expires_at": datetime(2026, 2, 21)}, "until when"),
        ({"why": " "}, "and why"),
    ],
)
def test_an_agent_refuses_what_is_forged_expired_or_by_one_operator(
    given_: dict[str, object], says: str
) -> None:
    with pytest.raises(DrainRefusedError, match=says):
        accept(record(**given_), at_s1())


def test_an_agent_begins_a_drain_once_and_waits_for_its_speaker() -> None:
    place = at_s1()
    with pytest.raises(DrainRefusedError, match="for now"):
        accept(record(), replace(place, reach=None))
    made = accept(record(), place)
    assert made is not None and made.goes == tuple(CIDRS[:3])
    place.state.apply(made)
    assert accept(record(), place) is None, "it is in force"
    place.state.apply(Undrained("d1"))
    with pytest.raises(DrainRefusedError, match="begins once"):
        accept(record(), place)
    replayed = JournalState()
    for kept in (Opened("s1", "e"), made, Undrained("d1")):
        encode_record(kept)
        replayed.apply(kept)
    assert replayed.drains == {} and "d1" in replayed.used


def test_an_agent_keeps_what_too_few_others_would_keep_and_what_exceeds_the_budget() -> None:
    made = accept(record(), at_s1(sites=("s1", "s2")))
    assert made is not None and made.goes == () and {k[1] for k in made.kept} == {"keeper"}
    assert set(made.stays) == set(CIDRS)
    others = accept(record(others=("s2", "s3", "s4")), at_s1())
    assert others is not None and others.goes == (), "s5 alone would be left"
    tight = AgentPolicy(drain=(Limit(86400, 2),))
    made = accept(record(), at_s1(policy=tight))
    assert made is not None and len(made.goes) == 2 and [k[1] for k in made.kept] == ["budget"]
    assert len(made.charges["drain"].prefixes) == len(made.charges["ordinary"].prefixes) == 2


def off_at_s1(place: Place, announced: tuple[Route, ...]) -> frozenset[Prefix]:
    return taken_off(place.state, place.sites, announced=announced, fleet=SITES, least=2)


def test_what_stays_comes_back_after_its_speaker_was_away() -> None:
    """Nobody named it: it came while the drain was on its way, and is no newcomer (I4)."""
    place = at_s1()
    made = accept(record(goes=(CIDRS[0],), stays=()), place)
    assert made is not None
    place.state.apply(made)
    assert off_at_s1(place, ()) == {CIDRS[0]}


def test_an_emergency_brings_a_drained_prefix_back_with_the_controller_gone() -> None:
    place = at_s1()
    made = accept(record(), place)
    assert made is not None
    place.state.apply(made)
    place.state.apply(Emerged("n", (), (), (CIDRS[0],), {}))
    assert off_at_s1(place, ()) == {CIDRS[1], CIDRS[2]}
    again = replay(place.state.records())
    assert again.drains == place.state.drains, "it survives compaction"


@pytest.mark.parametrize("strategy", ["withdraw", "prepend"])
def test_nothing_is_taken_off_because_it_came_to_be_announced_elsewhere(strategy: str) -> None:
    came, other = CIDRS[4], CIDRS[5]
    place = at_s1()
    made = accept(record(goes=(CIDRS[0],), stays=(), strategy=strategy), replace(place, reach=frozenset()))
    assert made is not None
    place.state.apply(made)
    only_here = replace(place, sites={came: ("s1",), other: None})
    assert off_at_s1(only_here, ()) == {other}, "what is announced at enough others does not come here"
    everywhere = replace(place, sites={came: None, other: None})
    assert off_at_s1(everywhere, (Route(came, (64500,)),)) == {other}
    assert off_at_s1(everywhere, ()) == {came, other}


def test_a_site_that_is_drained_by_prepending_repeats_its_own_as() -> None:
    place = at_s1()
    made = accept(record(strategy="prepend"), place)
    routes = frozenset({Route(CIDRS[0], (64500, 64500, 65010)), Route(CIDRS[3], (64500,))})
    state = with_drain(SiteState(routes, frozenset(), {}), made, {CIDRS[0]})
    assert state.routes == {Route(CIDRS[0], (64500,) * 4 + (65010,)), Route(CIDRS[3], (64500,))}


def test_other_sites_keep_in_the_place_of_one_that_is_drained() -> None:
    """Two operators may not withdraw at the last K sites that are in use (I10)."""
    held = 0
    for cidr in CIDRS:
        route = StandingRoute("a", cidr, (64500,), ("withdraw",), (), None, "operators", "express")
        for site in SITES[1:]:
            asked = Guarded(
                site, SITES, AgentPolicy(), {"a": Standing((route,), ())}, {}, Reading("b", 1.0),
                drained=("s1",),
            )  # fmt: skip
            held += bool(judge(asked).held)
            in_use = [s for s in SITES if s != "s1"]
            assert bool(judge(asked).held) >= (site in keepers(cidr, in_use, 2))
    assert held >= 2 * len(CIDRS)


SITE = st.sampled_from(SITES)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), SITE),
        st.tuples(st.just("lift"), SITE),
        st.tuples(st.just("away"), SITE),
        st.tuples(st.just("back"), SITE),
        st.tuples(st.just("tell"), SITE),
    ),
    max_size=30,
)


@given(EVENTS)
def test_the_drained_site_is_told_last_and_hears_first_that_it_is_over(events: list[tuple[str, str]]) -> None:
    numbers = itertools.count(1)
    standing: dict[str, StandingDrain] = {}
    lifted: set[str] = set()
    known: dict[str, dict[str, str]] = {site: {} for site in SITES}
    known["s1"]["s9"] = known["s2"]["s9"] = "foreign"
    up = set(SITES)

    def tell() -> bool:
        told = next_tellings(standing, lifted, {s: known[s] for s in up})
        for one in told:
            drained = next((s for s, d in standing.items() if d.id == one.id), None)
            if one.lift:
                site = next(s for s, id_ in known[one.site].items() if id_ == one.id)
                assert one.id != "foreign"
                assert one.site == site or site not in up or known[site].get(site) != one.id
                continue
            assert drained is not None
            if one.site == drained:
                assert all(known[s].get(drained) == one.id for s in up - {drained})
        for one in told:
            if one.lift:
                known[one.site] = {s: id_ for s, id_ in known[one.site].items() if id_ != one.id}
            else:
                known[one.site][next(s for s, d in standing.items() if d.id == one.id)] = one.id
        return bool(told)

    for what, site in events:
        if what == "begin":
            if site in standing:
                lifted.add(standing[site].id)
            standing[site] = StandingDrain(f"d{next(numbers)}", site, "")
        elif what == "lift" and site in standing:
            lifted.add(standing.pop(site).id)
        elif what == "away":
            up.discard(site)
        elif what == "back":
            up.add(site)
        else:
            tell()
    up = set(SITES)
    for _ in range(4):
        tell()
    assert not tell(), "it comes to rest"
    for site in SITES:
        foreign = {"s9": "foreign"} if site in ("s1", "s2") else {}
        assert known[site] == {**foreign, **{s: d.id for s, d in standing.items()}}
