"""Random histories of one site: I2, I3, I11, and restarts that change nothing (SAFETY, "Invariants").

The machines and the speaker are models that do what the real ones do, in any order and interrupted at any
point; the journal, the decisions and the plans are the agent's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.agent.commands import decide_all
from controller.agent.journal_records import (
    JournalState,
    Opened,
    Settled,
    decode_journal,
    encode_record,
    replay,
)
from controller.agent.reconcile import Facts, MachineFacts, Plan, reconcile
from controller.agent.site_state import Projections
from controller.bgp import Prefix, Route, covers
from controller.snapshots.model import (
    BgpPrefixObject,
    BindingObject,
    Chunk,
    PrefixObject,
    encode_chunk,
    hash_chunk,
)
from controller.snapshots.projection import SiteBinding
from controller.transport.messages import Command

ACCOUNTS = {"a": ("192.0.2.0/24", "2001:db8:1::/48"), "b": ("198.51.100.0/24", "2001:db8:2::/48")}
NAMES = ("m1", "m2", "m3")
NOTHING: frozenset[SiteBinding] = frozenset()


def chunk_of(bits: int) -> Chunk:
    """Return one of the chunks of two accounts: two bits a binding, announced mostly, prepended at times."""
    account = "ab"[bits & 1]
    cidrs = [Prefix(c) for c in ACCOUNTS[account]]

    def bit(at: int) -> bool:
        return bool(bits >> at & 1)

    return Chunk(
        account,
        tuple(PrefixObject(f"p{c}", c, None) for c in cidrs),
        tuple(
            BgpPrefixObject(
                f"b{c}", f"p{c}", c, None, bit(4 * i + 1) or bit(4 * i + 2), None, int(bit(20 + i))
            )
            for i, c in enumerate(cidrs)
        ),
        tuple(
            BindingObject(f"x{c}{service}", f"p{c}", c, service)
            for i, c in enumerate(cidrs)
            for j, service in enumerate("st")
            if bit(10 + 2 * i + j)
        ),
    )


@dataclass
class ModelMachine:
    """A machine: what it has, whether it runs, and what the agent believes of it."""

    has: frozenset[SiteBinding] = NOTHING
    runs: bool = True
    believed_live: bool = False
    believed: frozenset[SiteBinding] = NOTHING
    offered: frozenset[SiteBinding] | None = None


class SiteHistory:
    """The agent's own parts, and models of what is around them."""

    def __init__(self, count: int) -> None:
        self.log = encode_record(Opened("s1", "e"))
        self.machines = {name: ModelMachine() for name in NAMES[:count]}
        self.rib: dict[Prefix, Route] = {}
        self.sent: list[Command] = []
        self.generation = 0
        self.asked_for: set[Prefix] = set()
        self.start_agent()

    def start_agent(self) -> None:
        self.state: JournalState = replay(decode_journal(self.log)[0])
        self.projections = Projections("s1", 64500)
        self.announced: frozenset[Route] | None = None
        self.in_flight: frozenset[Route] = frozenset()
        self.flying = False
        for machine in self.machines.values():
            machine.believed, machine.believed_live, machine.offered = NOTHING, False, None

    def facts(self) -> Facts:
        return Facts(
            desired=self.projections.desired(self.state),
            left=self.projections.left(self.state),
            announced=self.announced,
            in_flight=self.in_flight,
            refused=frozenset(),
            machines=tuple(MachineFacts(n, m.believed_live, m.believed) for n, m in self.machines.items()),
        )

    def plan(self) -> Plan:
        plan = reconcile(self.facts())
        if plan.release:
            self.journal(Settled(self.state.generation))
        return plan

    def journal(self, record: object) -> None:
        assert not isinstance(record, Opened)
        self.log += encode_record(record)  # type: ignore[arg-type]  # a Record that is not Opened
        self.state.apply(record)  # type: ignore[arg-type]

    # What the controller does

    def command(self, bits: int) -> None:
        chunk, remove = chunk_of(bits), bits >> 30 & 7 == 0
        self.generation += 1
        data = None if remove else encode_chunk(chunk)
        order = Command(
            "s1",
            self.generation,
            "r",
            chunk.account_id,
            self.state.hash_of(chunk.account_id),
            hash_chunk(data) if data else None,
            data,
        )
        decision = decide_all([order], self.state, self.projections.chunks(self.state))[0]
        assert decision.receipt.outcome == "accepted"
        assert decision.record is not None
        self.journal(decision.record)
        self.sent.append(order)
        self.asked_for |= {r.prefix for r in self.projections.desired(self.state).routes}

    def repeat_a_command(self, bits: int) -> None:
        if not self.sent:
            return
        order = self.sent[bits % len(self.sent)]
        before = encode_all(self.state)
        decision = decide_all([order], self.state, self.projections.chunks(self.state))[0]
        assert decision.receipt.outcome in ("duplicate", "stale")
        assert decision.record is None
        assert encode_all(self.state) == before

    # What machines do

    def machine(self, bits: int) -> tuple[str, ModelMachine]:
        return sorted(self.machines.items())[bits % len(self.machines)]

    def stop_or_go_on(self, bits: int) -> None:
        self.machine(bits)[1].runs = bool(bits >> 8 & 1)

    def ask_machine(self, bits: int) -> None:
        _, machine = self.machine(bits)
        machine.believed_live = machine.runs
        if machine.runs and machine.offered is None:
            known = {NOTHING, self.plan().bindings}
            if machine.has in known:
                machine.believed = machine.has

    def offer_bindings(self, bits: int) -> None:
        _, machine = self.machine(bits)
        if not machine.believed_live or machine.offered is not None:
            return
        machine.offered = self.plan().bindings
        machine.believed &= machine.offered

    def take_bindings(self, bits: int) -> None:
        _, machine = self.machine(bits)
        if machine.offered is None or not machine.runs:
            return
        gone = machine.has - machine.offered
        for prefix in self.rib:
            self.check_nothing_needed_leaves(prefix, gone, machine.offered)
        machine.has = machine.offered
        if bits >> 8 & 3:  # else the acknowledgement is lost
            machine.believed = machine.offered
        machine.offered = None

    def machine_round(self, bits: int) -> None:
        """A whole exchange with one machine."""
        self.take_bindings(bits)
        self.ask_machine(bits)
        self.offer_bindings(bits)
        self.take_bindings(bits)

    def check_nothing_needed_leaves(
        self, prefix: Prefix, gone: frozenset[SiteBinding], offered: frozenset[SiteBinding]
    ) -> None:
        """I3: what a route out there stands on stays, unless it stands on something else by now.

        It stands on what any chunk since the last release gave it; an offer may be older than the last one.
        """
        under = {b for b in gone if covers(prefix, b.cidr) or covers(b.cidr, prefix)}
        states = (self.projections.desired(self.state), *self.projections.left(self.state))
        stood_on = [state.needs[prefix] for state in states if state.needs.get(prefix)]
        assert not under or any(needs <= offered for needs in stood_on), f"{under} leaves under {prefix}"

    # What the speaker does

    def attach(self, _: int = 0) -> None:
        if self.announced is None:
            self.announced = frozenset(self.rib.values())

    def begin_set(self, _: int = 0) -> None:
        plan = self.plan()
        if plan.routes is None or self.flying:
            return
        wanted = {r.prefix: r for r in plan.routes}
        desired = {r.prefix for r in self.projections.desired(self.state).routes}
        for prefix in set(self.rib) - set(wanted):
            assert prefix not in desired, f"{prefix} is withdrawn though it is desired"
            assert prefix in self.asked_for
        self.check_quorum_of_new(set(wanted) - set(self.rib))
        self.in_flight, self.flying = plan.routes, True

    def check_quorum_of_new(self, prefixes: set[Prefix]) -> None:
        """I2: a route that becomes announced stands on bindings that a quorum of live machines has."""
        live = [m for m in self.machines.values() if m.believed_live]
        for prefix in prefixes:
            needs = self.projections.desired(self.state).needs[prefix]
            holding = sum(1 for m in live if needs <= m.has)
            assert needs
            assert live
            assert holding >= min(len(live), max(2, len(live) / 2)), (
                f"{prefix} goes out with {holding} of {len(live)}"
            )

    def apply_some(self, bits: int) -> None:
        """The speaker has carried out a part, in any order, and has not said so."""
        if not self.flying:
            return
        wanted = {r.prefix: r for r in self.in_flight}
        for at, prefix in enumerate(sorted(wanted.keys() | self.rib.keys())):
            if bits >> at & 1 and prefix in wanted:
                self.rib[prefix] = wanted[prefix]
            elif bits >> at & 1:
                del self.rib[prefix]

    def finish_set(self, _: int = 0) -> None:
        if self.flying:
            self.rib = {r.prefix: r for r in self.in_flight}
            self.announced, self.in_flight, self.flying = self.in_flight, frozenset(), False

    # What breaks

    def lose_speaker_link(self, _: int = 0) -> None:
        self.announced, self.in_flight, self.flying = None, frozenset(), False

    def restart_speaker(self, _: int = 0) -> None:
        self.rib = {}
        self.announced, self.in_flight, self.flying = None, frozenset(), False

    def restart_agent(self, _: int = 0) -> None:
        before = encode_all(self.state)
        settled = not self.flying and reconcile(self.facts()).settled
        self.start_agent()
        assert encode_all(self.state) == before
        if settled:
            self.announced = frozenset(self.rib.values())
            assert reconcile(self.facts()).routes == self.announced, "a restart alone changes nothing"

    # What must come of it

    def let_all_go_on(self, _: int = 0) -> None:
        for _ in range(6):
            self.attach()
            for at, machine in enumerate(self.machines.values()):
                machine.runs = True
                self.machine_round(at | 1 << 8)
            self.begin_set()
            self.finish_set()
            self.plan()
        desired = self.projections.desired(self.state)
        bound = {r for r in desired.routes if desired.needs[r.prefix]}
        assert {r for r in self.rib.values() if desired.needs.get(r.prefix)} == bound
        assert set(self.rib) <= {r.prefix for r in desired.routes}
        for machine in self.machines.values():
            assert machine.has >= desired.bindings
            if all(desired.needs[r.prefix] for r in desired.routes):
                assert machine.has == desired.bindings
        if bound == desired.routes:
            assert reconcile(self.facts()).settled
            assert self.state.left == {}


def encode_all(state: JournalState) -> list[bytes]:
    return [encode_record(r) for r in state.records()]


Operation = Callable[[SiteHistory, int], None]

OPERATIONS: dict[Operation, int] = {
    SiteHistory.command: 6,
    SiteHistory.repeat_a_command: 1,
    SiteHistory.stop_or_go_on: 2,
    SiteHistory.machine_round: 8,
    SiteHistory.ask_machine: 2,
    SiteHistory.offer_bindings: 2,
    SiteHistory.take_bindings: 2,
    SiteHistory.attach: 3,
    SiteHistory.begin_set: 6,
    SiteHistory.apply_some: 3,
    SiteHistory.finish_set: 6,
    SiteHistory.lose_speaker_link: 1,
    SiteHistory.restart_speaker: 1,
    SiteHistory.restart_agent: 2,
    SiteHistory.let_all_go_on: 2,
}
"""What can happen, and how often it does."""


def spread(number: int) -> int:
    """Return 40 bits that differ for neighbouring numbers; Hypothesis likes small ones."""
    return (number * 0x9E3779B97F4A7C15 + 0x7F4A7C15F39CC060) % 2**64 >> 24


STEPS = st.tuples(
    st.sampled_from([operation for operation, weight in OPERATIONS.items() for _ in range(weight)]),
    st.integers(0, 2**32 - 1),
)


@settings(max_examples=max(120, settings().max_examples))
@given(machines=st.integers(1, 3), steps=st.lists(STEPS, min_size=20, max_size=90))
def test_no_history_breaks_the_order_of_things(machines: int, steps: list[tuple[Operation, int]]) -> None:
    site = SiteHistory(machines)
    for operation, number in steps:
        operation(site, spread(number))
    site.let_all_go_on()
