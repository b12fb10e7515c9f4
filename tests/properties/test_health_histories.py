"""Random histories of machines that lose bindings, fall silent and flap: what goes for that, and what never.

The agent's own counts, hysteresis, wishes, guard and journal, against a model that keeps the whole past:
silence never counts, nothing goes without the controller's word of just now, budget and keepers hold, and
neither a withdrawal nor a return follows a report that was broken within its time (SAFETY.md, 7; I1, I10).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.agent.guard import Guarded, judge, released
from controller.agent.health import Counts, Health, count
from controller.agent.health_report import GRANTED_S, Wishes
from controller.agent.journal_records import JournalState, Opened, decode_journal, encode_record, replay
from controller.agent.policy import AgentGuards, AgentPolicy, withdraw_quorum
from controller.agent.reconcile import Facts, MachineFacts, reconcile
from controller.bgp import Prefix, Route
from controller.safety.budget import Limit, Reading
from controller.safety.keepers import is_keeper
from controller.snapshots.model import BgpPrefixObject, Chunk
from controller.snapshots.projection import SiteBinding, SiteState
from controller.transport.messages import HealthGrant

FLEET = tuple(f"s{n}" for n in range(1, 7))
PREFIXES = tuple(Prefix(f"198.18.{n}.0/24") for n in range(6))
BOUND = {p: SiteBinding(p, "cdn", "acme", f"b{p}") for p in PREFIXES}
ROUTES = {p: Route(p, (64500,)) for p in PREFIXES}
DESIRED = SiteState(
    frozenset(ROUTES.values()), frozenset(BOUND.values()), {p: frozenset({b}) for p, b in BOUND.items()}
)
CHUNK = Chunk("acme", (), tuple(BgpPrefixObject(f"g{p}", "p", p, None, True, None, 0) for p in PREFIXES), ())
POLICY = AgentPolicy(
    health_withdrawal=True, budget=(Limit(60, 1), Limit(600, 3)), keepers=2, withdraw_after_s=20.0,
    return_after_s=30.0,
)  # fmt: skip
KEPT = frozenset(p for p in PREFIXES if is_keeper("s1", p, FLEET, 2))


@dataclass
class Model:
    """One machine: whether it answers, what of its set it says is absent, what it lost."""

    live: bool = True
    absent: set[Prefix] = field(default_factory=set)
    lost: set[Prefix] = field(default_factory=set)
    known: bool = True

    def lacks(self, prefix: Prefix) -> bool:
        return self.live and (prefix in self.absent or (self.known and prefix in self.lost))


class HealthHistory:
    """A site of ``count`` machines, and what it does."""

    policy = POLICY

    def __init__(self, count: int) -> None:
        self.now = 1000.0
        self.machines = {f"m{n}": Model() for n in range(count)}
        self.log = encode_record(Opened("s1", "e"))
        self.rib = dict(ROUTES)
        self.withdrawn_at: list[float] = []
        # The model's memory: since when without a break, and what was granted when.
        self.gone_since: dict[Prefix, float] = {}
        self.back_since: dict[Prefix, float] = {}
        self.granted_at: dict[Prefix, float] = {}
        self.out: set[Prefix] = set()
        self.lives = 0
        self.start()

    def start(self) -> None:
        self.state: JournalState = replay(decode_journal(self.log)[0])
        self.health = Health()
        self.lives += 1
        self.wishes = Wishes(f"life{self.lives}")
        self.out.clear()

    def facts(self, out: frozenset[Prefix] = frozenset()) -> Facts:
        bound = frozenset(BOUND.values())
        machines = tuple(
            MachineFacts(
                name, m.live, frozenset(BOUND[p] for p in PREFIXES if p not in m.lost) & bound,
                absent=frozenset(m.absent), known=m.known,
            )
            for name, m in self.machines.items()
        )  # fmt: skip
        desired = SiteState(
            frozenset(r for r in DESIRED.routes if r.prefix not in out), DESIRED.bindings, DESIRED.needs
        )
        announced = frozenset(self.rib.values())
        return Facts(desired, (), announced, frozenset(), frozenset(), machines, self.policy, taken=out)

    def look(self) -> None:
        """What the agent does whenever anything changes."""
        self.remember()
        facts = self.facts()
        watched = frozenset(self.health.absent_since.keys() | self.health.out.keys())
        counts = count(facts, watched)
        before = self.health
        self.health = before.seen(counts, self.now, self.policy)
        for prefix in before.out.keys() - self.health.out.keys():
            since = self.back_since.get(prefix)
            assert since is not None and self.now - since >= self.policy.return_after_s
            self.out.discard(prefix)
        self.wishes.look(counts, self.health, self.policy, self.now, facts.announced or ())
        reading = Reading("boot", self.now)
        ruling = judge(
            Guarded(
                "s1", FLEET, self.policy, {}, self.state.budgets, reading,
                wished=self.wishes.due({"acme": CHUNK}, {}),
            )
        )  # fmt: skip
        assert {h.check for h in ruling.wishes} <= {"keeper", "correlated", "budget"}
        if ruling.lets_go:
            self.check_gone(ruling.unserved)
            record = released(ruling)
            self.log += encode_record(record)
            self.state.apply(record)
            self.health = self.health.went(frozenset(ruling.unserved))
            self.out |= set(ruling.unserved)
        plan = reconcile(self.facts(frozenset(self.health.out)))
        assert plan.routes is not None
        kept = {r.prefix for r in plan.routes}
        assert self.rib.keys() - kept <= self.out, "nothing goes that was not let go"
        for prefix in kept - self.rib.keys():
            live = [m for m in self.machines.values() if m.live]
            holding = sum(not m.lacks(prefix) and prefix not in m.lost for m in live)
            assert holding >= min(len(live), max(2, len(live) / 2)) > 0, "I2"
        self.rib = {r.prefix: r for r in plan.routes}
        told = {w.prefix: w for w in self.wishes.report(self.health, ruling.wishes, self.policy)}
        assert self.health.out.keys() <= {p for p, w in told.items() if w.check == "out"}

    def remember(self) -> None:
        live = [m for m in self.machines.values() if m.live]
        for prefix in PREFIXES:
            reports = sum(m.lacks(prefix) for m in self.machines.values())
            gone = reports == len(live) and reports >= min(2, len(self.machines)) and reports > 0
            if not gone or prefix in self.out:
                self.gone_since.pop(prefix, None)
                self.granted_at.pop(prefix, None)
            else:
                self.gone_since.setdefault(prefix, self.now)
            holding = sum(prefix not in m.absent and prefix not in m.lost for m in live)
            if live and holding >= min(len(live), max(2, len(live) / 2)):
                self.back_since.setdefault(prefix, self.now)
            else:
                self.back_since.pop(prefix, None)

    def check_gone(self, prefixes: tuple[Prefix, ...]) -> None:
        assert self.policy.health_withdrawal
        self.withdrawn_at += [self.now] * len(prefixes)
        for limit in POLICY.budget:
            spent = sum(at > self.now - limit.seconds for at in self.withdrawn_at)
            assert spent <= limit.number, "I1"
        for prefix in prefixes:
            assert prefix not in KEPT, "I10"
            since = self.gone_since.get(prefix)
            assert since is not None, f"{prefix}: not all live machines report it absent"
            assert self.now - since >= POLICY.withdraw_after_s, "they did not for long enough"
            granted = self.granted_at.get(prefix)
            assert granted is not None and self.now - granted <= GRANTED_S, "the controller said nothing"

    # What happens

    def machine(self, bits: int) -> Model:
        return list(self.machines.values())[bits % len(self.machines)]

    def fall_silent_or_answer(self, bits: int) -> None:
        self.machine(bits).live = bool(bits >> 4 & 3)

    def tell(self, bits: int) -> None:
        """One machine is told anew what is absent."""
        self.machine(bits).absent = {p for i, p in enumerate(PREFIXES) if bits >> (4 + i) & 1}

    def all_are_told(self, bits: int) -> None:
        for machine in self.machines.values():
            machine.absent = {p for i, p in enumerate(PREFIXES) if bits >> (4 + i) & 1}

    def a_long_illness(self, bits: int) -> None:
        """All machines but perhaps one are told the same, for long enough, and the controller grants it."""
        self.all_are_told(bits)
        if bits & 3 == 0:
            self.machine(bits).absent = set()
        for _ in range(3):
            self.time_passes(0b111100)
            self.controller_grants((1 << len(PREFIXES)) - 1)
            self.look()

    def lose_or_regain(self, bits: int) -> None:
        machine = self.machine(bits)
        machine.lost = set(PREFIXES) if bits >> 4 & 1 else set()
        machine.known = bool(bits >> 5 & 3)

    def time_passes(self, bits: int) -> None:
        for _ in range(1 + (bits & 7)):
            self.now += (bits >> 3 & 15) + 0.5
            self.look()

    def controller_grants(self, bits: int) -> None:
        names = tuple(n for i, (_, n) in enumerate(sorted(self.wishes.wished.items())) if bits >> i & 1)
        outcome, _ = self.wishes.grant(HealthGrant("s1", names), "s1", 0, self.now)
        for prefix, name in self.wishes.wished.items():
            if name in names:
                assert outcome == "accepted"
                self.granted_at[prefix] = self.now

    def an_old_grant_comes_late(self, bits: int) -> None:
        names = tuple(f"life{n}.{self.now - 20:.6f}.{p}" for n in range(self.lives) for p in PREFIXES)
        assert self.wishes.grant(HealthGrant("s1", names), "s1", 0, self.now)[0] == "stale"
        fits = tuple(self.wishes.wished.values())
        assert self.wishes.grant(HealthGrant("s1", fits, fence=bits & 3), "s1", 4, self.now)[0] == "stale"

    def restart(self, _: int) -> None:
        """A restart withdraws nothing; what was out comes back by the announce quorum alone."""
        self.start()


Operation = Callable[[HealthHistory, int], None]

OPERATIONS: dict[Operation, int] = {
    HealthHistory.fall_silent_or_answer: 2,
    HealthHistory.tell: 3,
    HealthHistory.all_are_told: 3,
    HealthHistory.a_long_illness: 3,
    HealthHistory.lose_or_regain: 1,
    HealthHistory.time_passes: 7,
    HealthHistory.controller_grants: 5,
    HealthHistory.an_old_grant_comes_late: 1,
    HealthHistory.restart: 1,
}
WEIGHTED = [operation for operation, weight in OPERATIONS.items() for _ in range(weight)]
STEPS = st.lists(st.tuples(st.sampled_from(WEIGHTED), st.integers(0, 2**12 - 1)), min_size=10, max_size=60)


def live_through(site: HealthHistory, steps: list[tuple[Operation, int]]) -> int:
    for operation, number in steps:
        operation(site, number)
        site.look()
    return len(site.withdrawn_at)


def seeded(seed: int) -> list[tuple[Operation, int]]:
    found = []
    for i in range(60):
        number = (seed * 7919 + i * 104729 + 12345) * 2654435761 % 2**32
        found.append((WEIGHTED[(number >> 16) % len(WEIGHTED)], number >> 4 & 0xFFF))
    return found


@settings(max_examples=max(150, settings().max_examples))
@given(machines=st.integers(1, 4), steps=STEPS)
def test_nothing_goes_for_want_of_bindings_but_within_the_law(
    machines: int, steps: list[tuple[Operation, int]]
) -> None:
    live_through(HealthHistory(machines), steps)


def test_the_histories_get_as_far_as_withdrawals() -> None:
    assert sum(live_through(HealthHistory(3), seeded(seed)) for seed in range(60)) > 50


def test_by_default_nothing_goes_for_want_of_bindings_at_all() -> None:
    class Production(HealthHistory):
        policy = msgspec.structs.replace(POLICY, health_withdrawal=False)

    assert not AgentPolicy().health_withdrawal
    assert sum(live_through(Production(3), seeded(seed)) for seed in range(60)) == 0


@pytest.mark.parametrize(
    "without",
    [
        {"guards": AgentGuards(budget=False)},
        {"guards": AgentGuards(keeper=False)},
        {"withdraw_share": 0.5},
        {"withdraw_after_s": 0.0},
    ],
    ids=["budget", "keeper", "quorum", "hysteresis"],
)
def test_each_rule_alone_is_missed(without: dict[str, object]) -> None:
    """Take one rule away, and the same histories break the law: the model can fail."""

    class Weaker(HealthHistory):
        policy = msgspec.structs.replace(POLICY, **without)

    def try_all() -> None:
        for seed in range(100):
            live_through(Weaker(3), seeded(seed))

    with pytest.raises(AssertionError):
        try_all()


def test_machines_that_flap_flap_no_route() -> None:
    site = HealthHistory(3)
    prefix = next(p for p in PREFIXES if p not in KEPT)
    for turn in range(100):
        for machine in site.machines.values():
            machine.absent = {prefix} if turn % 2 else set()
        site.now += POLICY.withdraw_after_s - 1
        site.look()
        assert not site.wishes.wished
    assert site.rib.keys() == set(PREFIXES)


def test_silence_counts_for_neither_quorum() -> None:
    assert [withdraw_quorum(live, 3) for live in range(4)] == [2, 2, 2, 3]
    assert withdraw_quorum(0, 0) == withdraw_quorum(1, 1) == 1
    site = HealthHistory(3)
    first, *others = site.machines.values()
    first.absent = set(PREFIXES)
    for machine in others:
        machine.live = False
    for _ in range(10):
        site.now += POLICY.withdraw_after_s
        site.look()
        assert not site.wishes.wished, "one that answers among silent ones is too few"
    assert Counts(0, 0, 0, 0, 1).held is False


def test_what_is_bound_in_part_stays() -> None:
    """A route over several bindings is reported absent only when all of them are."""
    wide = Prefix("198.18.0.0/22")
    needs = frozenset(BOUND[p] for p in PREFIXES[:4])
    desired = SiteState(frozenset({Route(wide, (64500,))}), needs, {wide: needs})
    some, most = frozenset(PREFIXES[:3]), frozenset(PREFIXES[:4])

    def counted(absent: frozenset[Prefix]) -> Counts:
        machines = tuple(MachineFacts(f"m{n}", True, needs, absent=absent, known=True) for n in range(3))
        facts = Facts(desired, (), desired.routes, frozenset(), frozenset(), machines)
        return count(facts, frozenset())[wide]

    assert (counted(some).gone, counted(some).held) == (False, False)
    assert counted(most).gone
