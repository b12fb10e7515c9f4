"""Random histories of one site with its guard: I1, I2, I3, I10, I11 after every step (SAFETY).

The site is that of ``test_site_histories``, whose checks of I2, I3 and I11 hold here, too. What the guard
lets go is counted by a model of its own: true time, every intent that was ever signed, and every route that
leaves the speaker.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.agent.commands import Surroundings, decide_all
from controller.agent.guard import Guarded, Ruling, judge, moot, released
from controller.agent.journal_records import Opened, Settled, encode_record
from controller.agent.policy import AgentGuards, AgentPolicy
from controller.agent.reconcile import Facts, Plan, reconcile
from controller.agent.standing import effective, kept_bindings, route_verbs
from controller.bgp import Prefix, covers
from controller.safety.budget import Limit, Reading
from controller.safety.intents import Intent, IntentKind, sign
from controller.safety.keepers import is_keeper
from controller.snapshots.model import Chunk, encode_chunk, hash_chunk
from controller.snapshots.projection import SiteBinding
from controller.transport.messages import Command
from tests.properties.test_site_histories import ACCOUNTS, SiteHistory, chunk_of, encode_all, spread

OURS = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
FORGER = Ed25519PrivateKey.from_private_bytes(b"f" * 32)
KEYS = (OURS.public_key().public_bytes_raw(),)
FLEET = ("s1", "s2", "s3")
POLICY = AgentPolicy(budget=(Limit(60, 2), Limit(600, 4)), keepers=1)
NOON = datetime(2026, 2, 20, 12, tzinfo=UTC)
KINDS: tuple[IntentKind, ...] = ("withdraw", "delete", "prepend", "unbind")


class GuardedHistory(SiteHistory):
    """The site with its guard, clocks that jump, and whoever signs intents."""

    policy = POLICY
    kinds = KINDS
    registry_keys: tuple[bytes, ...] | None = None

    def __init__(self, count: int) -> None:
        self.true_s = 0.0
        self.wall = NOON
        self.boot, self.monotonic = 0, 1000.0
        self.texts: list[str] = []
        self.sound: dict[str, Intent] = {}  # by text: those that our key signed
        self.brought: Counter[tuple[Prefix, str]] = Counter()
        self.nonces_brought: set[tuple[str, Prefix, str]] = set()
        self.owners: Counter[tuple[Prefix, str]] = Counter()
        self.let_go: Counter[tuple[Prefix, str]] = Counter()
        self.withdrawn_at: list[float] = []
        self.may_leave: set[Prefix] = set()
        super().__init__(count)

    # What the guard adds to a site

    def facts(self) -> Facts:
        state = self.state
        desired = self.projections.desired(state)
        found = effective(desired, state.standing.values())
        return replace(super().facts(), desired=found, kept=kept_bindings(desired, found), policy=self.policy)

    def ruling(self) -> Ruling:
        state = self.state
        return judge(
            Guarded(
                "s1",
                FLEET,
                self.policy,
                state.standing,
                state.budgets,
                Reading(f"boot {self.boot}", self.monotonic),
                moot=moot(state.standing, self.projections.desired(state).routes),
                barred={(account, p) for account, listed in state.listed.items() for p in listed.barred},
            )
        )

    def plan(self) -> Plan:
        ruling = self.ruling()
        if ruling.lets_go:
            self.journal(released(ruling))
            self.check_let_go(ruling)
            assert not self.ruling().lets_go, "what was let go is not let go twice"
        plan = reconcile(self.facts())
        if plan.release:
            self.journal(Settled(self.state.generation))
        return plan

    def check_let_go(self, ruling: Ruling) -> None:
        """I1, I10, and that each intent counts once."""
        costly = {r.prefix for r in ruling.routes} | {b.binding.cidr for b in ruling.bindings if b.under}
        self.withdrawn_at += [self.true_s] * len(costly)
        for limit in self.policy.budget:
            spent = sum(1 for at in self.withdrawn_at if at > self.true_s - limit.seconds)
            assert spent <= limit.number, f"{spent} withdrawals in {limit.seconds} s"
        for route in ruling.routes:
            self.may_leave.add(route.prefix)
            for verb in route.verbs:
                self.let_go[route.prefix, verb] += 1
                asked = self.brought[route.prefix, verb]
                assert self.let_go[route.prefix, verb] <= asked, f"{verb} {route.prefix}: nobody asked"
                if verb == "withdraw" and is_keeper("s1", route.prefix, FLEET, self.policy.keepers):
                    assert self.owners[route.prefix, verb] > 0, f"{route.prefix} is kept here"
        for bound in ruling.bindings:
            assert self.brought[bound.binding.cidr, "unbind"], f"nobody asked to unbind {bound.binding.cidr}"

    # Who asks

    def sign_intent(self, bits: int) -> None:
        account = "ab"[bits & 1]
        cidrs = tuple(Prefix(c) for c in ACCOUNTS[account])[: 1 + (bits >> 1 & 3 > 0)]
        forged = bits >> 3 & 7 == 0
        begins = self.wall + timedelta(seconds=20 if bits >> 16 & 7 == 0 else -20)
        operators = bits >> 7 & 1
        intent = Intent(
            account,
            self.kinds[bits >> 8 & 3],
            cidrs,
            None,
            None,
            issued_at=begins,
            not_before=begins,
            expires_at=begins + timedelta(seconds=300),
            nonce=f"{len(self.texts):032x}",
            authority="operators" if operators else "owner",
            asked_by=("one", "two") if operators else ("one",),
        )
        text = sign(intent, FORGER if forged else OURS)
        self.texts.append(text)
        if not forged:
            self.sound[text] = intent

    def ask_for_all(self, bits: int) -> tuple[str, ...]:
        """Return some of the intents that there are, old ones and forged ones among them."""
        return tuple(t for i, t in enumerate(self.texts[-8:]) if bits >> i & 1)

    def chunk(self, bits: int) -> Chunk:
        return chunk_of(bits)

    def registry(self, account: str, bits: int) -> str:
        """Return the text of an entry that comes with a command."""
        return ""

    def command(self, bits: int) -> None:
        chunk, remove = self.chunk(bits), bits >> 30 & 7 == 0
        for at in range(4):
            if bits >> (32 + at) & 1:
                self.sign_intent(spread(bits + at) & ~0x301 | at << 8 | (bits & 1))
        self.generation += 1
        data = None if remove else encode_chunk(chunk)
        texts = self.ask_for_all(spread(bits))
        order = Command(
            "s1",
            self.generation,
            "r",
            chunk.account_id,
            self.state.hash_of(chunk.account_id),
            hash_chunk(data) if data else None,
            data,
            intents=texts,
            registry=self.registry(chunk.account_id, spread(bits + 7)),
        )
        reach = None if self.announced is None else {r.prefix for r in (*self.announced, *self.in_flight)}
        around = Surroundings(reach, KEYS, self.wall, registry_keys=self.registry_keys)
        decision = decide_all([order], self.state, self.projections.chunks(self.state), around)[0]
        assert decision.receipt.outcome == "accepted"
        assert decision.record is not None
        self.note_brought(chunk.account_id, texts)
        self.journal(decision.record)
        self.sent.append(order)
        self.asked_for |= {r.prefix for r in self.projections.desired(self.state).routes}

    def note_brought(self, account: str, texts: tuple[str, ...]) -> None:
        """The model's own account of which effects were asked for, once for each intent."""
        verbs = {
            "withdraw": ("withdraw",),
            "delete": ("withdraw", "unbind"),
            "unbind": ("unbind",),
            "reorigin": ("reorigin",),
        }
        for text in texts:
            intent = self.sound.get(text)
            if intent is None or intent.account_id != account:
                continue
            if not intent.not_before <= self.wall < intent.expires_at:
                continue
            for cidr in intent.prefixes:
                for verb in verbs.get(intent.kind, ("more-prepend",)):
                    if (intent.nonce, cidr, verb) not in self.nonces_brought:
                        self.nonces_brought.add((intent.nonce, cidr, verb))
                        self.brought[cidr, verb] += 1
                        self.owners[cidr, verb] += intent.authority == "owner"

    # The clocks

    def time_passes(self, bits: int) -> None:
        seconds = (bits & 255) / 2
        self.true_s += seconds
        self.monotonic += seconds
        self.wall += timedelta(seconds=seconds)

    def wall_clock_jumps(self, bits: int) -> None:
        self.wall += timedelta(seconds=(bits & 0xFFFF) - 0x8000)

    def reboot(self, bits: int) -> None:
        self.boot += 1
        self.monotonic = float(bits & 0xFFF)
        self.restart_agent()

    # The speaker: nothing leaves it that was not let go

    def begin_set(self, _: int = 0) -> None:
        plan = self.plan()
        if plan.routes is None or self.flying:
            return
        wanted = {r.prefix: r for r in plan.routes}
        for prefix, old in self.rib.items():
            verbs = route_verbs(old, wanted.get(prefix))
            assert not verbs or prefix in self.may_leave, f"{verbs} {prefix} was not let go"
        self.check_quorum_of_new(set(wanted) - set(self.rib))
        self.in_flight, self.flying = plan.routes, True

    def apply_some(self, bits: int) -> None:
        super().apply_some(bits)
        self.note_arrived()

    def finish_set(self, _: int = 0) -> None:
        super().finish_set()
        self.note_arrived()

    def note_arrived(self) -> None:
        """What is out there as it is wanted now may not leave without being let go again."""
        wanted = self.facts().desired.routes
        self.may_leave -= {p for p, route in self.rib.items() if route in wanted}

    def check_quorum_of_new(self, prefixes: set[Prefix]) -> None:
        live = [m for m in self.machines.values() if m.believed_live]
        for prefix in prefixes:
            needs = self.facts().desired.needs[prefix]
            holding = sum(1 for m in live if needs <= m.has)
            assert needs
            assert holding >= min(len(live), max(2, len(live) / 2)) > 0

    def check_nothing_needed_leaves(
        self, prefix: Prefix, gone: frozenset[SiteBinding], offered: frozenset[SiteBinding]
    ) -> None:
        """I3 as in the base, for what the guard makes of the desired state, too."""
        under = {b for b in gone if covers(prefix, b.cidr) or covers(b.cidr, prefix)}
        desired = self.projections.desired(self.state)
        states = (desired, self.facts().desired, *self.projections.left(self.state))
        stood_on = [state.needs[prefix] for state in states if state.needs.get(prefix)]
        assert not under or any(needs <= offered for needs in stood_on), f"{under} leaves under {prefix}"

    def let_all_go_on(self, _: int = 0) -> None:
        for _ in range(6):
            self.attach()
            for at, machine in enumerate(self.machines.values()):
                machine.runs = True
                self.machine_round(at | 1 << 8)
            self.begin_set()
            self.finish_set()
            self.plan()
        wanted = self.facts().desired
        bound = {r for r in wanted.routes if wanted.needs[r.prefix]}
        assert {r for r in self.rib.values() if wanted.needs.get(r.prefix)} == bound
        assert set(self.rib) <= {r.prefix for r in wanted.routes}
        for machine in self.machines.values():
            assert machine.has >= wanted.bindings

    def restart_agent(self, _: int = 0) -> None:
        before = encode_all(self.state)
        self.start_agent()
        assert encode_all(self.state) == before

    def compact(self, _: int = 0) -> None:
        self.log = b"".join(encode_record(r) for r in self.state.records())
        before = encode_all(self.state)
        self.start_agent()
        assert encode_all(self.state) == before


Operation = Callable[[GuardedHistory, int], None]

OPERATIONS: dict[Operation, int] = {
    GuardedHistory.command: 8,
    GuardedHistory.sign_intent: 2,
    GuardedHistory.repeat_a_command: 1,
    GuardedHistory.stop_or_go_on: 1,
    GuardedHistory.machine_round: 6,
    GuardedHistory.offer_bindings: 1,
    GuardedHistory.take_bindings: 1,
    GuardedHistory.attach: 2,
    GuardedHistory.begin_set: 5,
    GuardedHistory.apply_some: 2,
    GuardedHistory.finish_set: 5,
    GuardedHistory.lose_speaker_link: 1,
    GuardedHistory.restart_speaker: 1,
    GuardedHistory.restart_agent: 1,
    GuardedHistory.compact: 1,
    GuardedHistory.time_passes: 3,
    GuardedHistory.wall_clock_jumps: 1,
    GuardedHistory.reboot: 1,
    GuardedHistory.let_all_go_on: 3,
}

STEPS = st.tuples(
    st.sampled_from([operation for operation, weight in OPERATIONS.items() for _ in range(weight)]),
    st.integers(0, 2**32 - 1),
)


def live_through(site: GuardedHistory, steps: list[tuple[Operation, int]]) -> None:
    for operation, number in steps:
        getattr(site, operation.__name__)(spread(number))  # as a subclass has it
    site.let_all_go_on()


@settings(max_examples=max(150, settings().max_examples))
@given(machines=st.integers(1, 3), steps=st.lists(STEPS, min_size=20, max_size=80))
def test_no_history_gets_anything_past_the_guard(machines: int, steps: list[tuple[Operation, int]]) -> None:
    live_through(GuardedHistory(machines), steps)


@pytest.mark.parametrize("name", ["intents", "budget", "keeper"])
def test_each_check_alone_is_missed(name: str) -> None:
    """Disarm one check, and the same histories break an invariant: the model can fail."""

    class Disarmed(GuardedHistory):
        policy = msgspec.structs.replace(POLICY, guards=AgentGuards(**{name: False}))

    def try_all() -> None:
        for seed in range(400):
            steps = [
                (
                    list(OPERATIONS)[spread(seed * 97 + i) % len(OPERATIONS)],
                    spread(seed * 89 + i) & 0xFFFFFFFF,
                )
                for i in range(60)
            ]
            live_through(Disarmed(2), steps)

    with pytest.raises(AssertionError):
        try_all()


def test_opened_is_never_appended() -> None:
    with pytest.raises(AssertionError):
        GuardedHistory(1).journal(Opened("s1", "again"))
