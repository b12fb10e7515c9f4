"""One simulated site: the agent's own journal, decisions and plans, with models of machines and speaker.

The models do what the real ones do, in any order, and may be interrupted after any part of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from controller.agent.commands import Surroundings, decide_all
from controller.agent.errors import JournalDamagedError
from controller.agent.guard import ORDINARY, Guarded, Ruling, judge, moot, released
from controller.agent.journal_records import (
    JournalState,
    Record,
    Settled,
    decode_journal,
    encode_record,
    replay,
)
from controller.agent.outstanding import charged_anew, still_out, why_busy
from controller.agent.policy import AgentPolicy
from controller.agent.reconcile import Facts, MachineFacts, Plan, reconcile
from controller.agent.site_state import Projections
from controller.agent.standing import effective, kept_bindings
from controller.bgp import Prefix, Route, covers
from controller.safety.budget import Budget, Reading
from controller.snapshots.model import Chunk, ChunkHash
from controller.snapshots.projection import SiteBinding, SiteState
from controller.transport.messages import Command, HeldEffect, MachineStatus, Receipt, SiteStatus
from tests.simulation.actors import EPOCH, PUBLIC_KEYS
from tests.simulation.records import Announced, Fact, Journalled, Restarted, Unbound
from tests.simulation.universe import BEGINNING, MACHINES, OUR_AS, SITES

NOTHING: frozenset[SiteBinding] = frozenset()


@dataclass(slots=True)
class Machine:
    """What it has in its kernel, whether it runs, and what the agent believes of it."""

    has: frozenset[SiteBinding]
    runs: bool = True
    believed_live: bool = True
    believed: frozenset[SiteBinding] = NOTHING
    fresh: bool = True


class Known(Projections):
    """The agent's projections, remembered across histories: a chunk's meaning is in its hash."""

    _all: ClassVar[dict[tuple[str, ChunkHash], tuple[Chunk, SiteState]]] = {}

    def _of(self, hash_: ChunkHash, data: bytes) -> tuple[Chunk, SiteState]:
        found = self._all.get((self._site, hash_))
        if found is None:
            found = self._all[self._site, hash_] = super()._of(hash_, data)
        return found


@dataclass(slots=True)
class Clocks:
    """What the site's clocks show beside true time: neither is to be trusted.

    ``boot``: counts its starts; the monotonic clock runs from each of them, and goes back by ``back_s`` when
    the machine is put back to an older picture of itself.
    """

    now: Callable[[], float]
    boot: int = 1
    booted_at: float = 0.0
    back_s: float = 0.0
    wall_off_s: float = 0.0

    def reading(self) -> Reading:
        return Reading(f"boot{self.boot}", self.now() - self.booted_at - self.back_s)

    def reboot(self) -> None:
        self.boot, self.booted_at, self.back_s = self.boot + 1, self.now(), 0.0


class Site:
    """A site of one history. ``note`` takes facts; ``withdrew`` is told of each route that goes."""

    def __init__(
        self,
        name: str,
        note: Callable[[Fact], None],
        withdrew: Callable[[Site, Prefix], None],
        now: Callable[[], float],
        policy: AgentPolicy,
    ) -> None:
        self.name = name
        self.policy = policy
        self.clocks = Clocks(now)
        self.held: tuple[HeldEffect, ...] = ()
        self.out: dict[Prefix, float] = {}
        self.log = BEGINNING.journals[name]
        self.life = 1
        self.version = 0
        self.fault = ""
        self.rib: dict[Prefix, Route] = {r.prefix: r for r in BEGINNING.routes}
        bound = BEGINNING.desired.bindings
        self.machines = {m: Machine(bound, believed=bound) for m in MACHINES}
        self.projections = Known(name, OUR_AS)
        self._note = note
        self._withdrew = withdrew
        self.agent_runs = True
        self.state: JournalState = _replayed(self.log)
        self.announced: frozenset[Route] | None = BEGINNING.routes
        self.in_flight: frozenset[Route] = frozenset()
        self.flying = False
        self._plan_of: object = None
        self._plan: Plan | None = None

    # -- the agent ----------------------------------------------------------------------------------

    def command(self, command: Command) -> Receipt | None:
        """Judge a command; None: nobody answers. It is in the journal before it is answered."""
        if not self.agent_runs or self.fault:
            return None
        around = Surroundings(
            reach=self._reach(), intent_keys=PUBLIC_KEYS, local_as=OUR_AS, skew_s=self.policy.clock_skew_s,
            now=EPOCH + timedelta(seconds=self.clocks.now() + self.clocks.wall_off_s),
        )  # fmt: skip
        (decision,) = decide_all([command], self.state, self.projections.chunks(self.state), around)
        if decision.record is not None:
            self.journal(decision.record)
            self._note(
                Journalled(
                    self.name, self.life, command.generation, command.account_id, command.from_hash,
                    command.to_hash,
                )
            )  # fmt: skip
            for machine in self.machines.values():
                machine.fresh = False
        return decision.receipt

    def journal(self, record: Record) -> None:
        self.log += encode_record(record)
        self.state.apply(record)

    def _reach(self) -> frozenset[Prefix] | None:
        """Return what is or may be announced; None while that is not known."""
        if self.announced is None:
            return None
        return frozenset(r.prefix for r in self.announced | self.in_flight)

    def let_go(self) -> None:
        """Ask the guard what may be taken away now, and journal that before anybody acts on it."""
        self.held = ()
        if self.state.going or self.out:
            self._charge_what_was_late()
        if not self.state.standing:
            return
        ruling: Ruling = judge(
            Guarded(
                self.name, SITES, self.policy, self.state.standing, self.state.budgets, self.clocks.reading(),
                busy=why_busy(self._still_out(), self._reach()),
                moot=moot(self.state.standing, self.projections.desired(self.state).routes),
            )
        )  # fmt: skip
        if ruling.lets_go:
            self.journal(released(ruling))
            passed = self.state.budgets.get(ORDINARY, Budget()).passed_s
            self.out |= dict.fromkeys(self._still_out(), passed)
        self.held = ruling.held

    def _still_out(self) -> frozenset[Prefix]:
        if not self.state.going:
            return frozenset()
        return still_out(self.state.going, self._reach(), {r.prefix for r in self.effectively().routes})

    def _charge_what_was_late(self) -> None:
        if self._reach() is None:
            return
        out = self._still_out()
        self.out = {p: float("-inf") for p in out} | self.out
        budget = self.state.budgets.get(ORDINARY, Budget())
        reading = self.clocks.reading()
        record = charged_anew(
            self.out, out, name=ORDINARY, budget=budget, now=reading, limits=self.policy.budget
        )
        if record is not None:
            self.journal(record)
        self.out = {p: at for p, at in self.out.items() if p in out}

    def effectively(self) -> SiteState:
        """Return what is desired, with what stands laid over it."""
        return effective(self.projections.desired(self.state), self.state.standing.values())

    def facts(self) -> Facts:
        desired = self.projections.desired(self.state)
        effectively = self.effectively()
        return Facts(
            desired=effectively,
            kept=kept_bindings(desired, effectively),
            policy=self.policy,
            left=self.projections.left(self.state),
            announced=self.announced,
            in_flight=self.in_flight,
            refused=frozenset(),
            machines=tuple(
                MachineFacts(n, m.believed_live, m.believed, m.fresh) for n, m in self.machines.items()
            ),
        )

    def plan(self) -> Plan:
        self.let_go()
        plan = self._planned()
        if plan.release:
            self.journal(Settled(self.state.generation))
        return plan

    def _planned(self) -> Plan:
        """Return the plan; made anew only when something that it stands on has changed."""
        now = (
            len(self.log), self.life, id(self.announced), id(self.in_flight),
            tuple((m.believed_live, m.fresh, id(m.believed)) for m in self.machines.values()),
        )  # fmt: skip
        if now != self._plan_of:
            self._facts_then = self.facts()  # kept, so that no id is given to another value
            self._plan_of, self._plan = now, reconcile(self._facts_then)
        assert self._plan is not None
        return self._plan

    def status(self) -> SiteStatus | None:
        """Return what the agent says of itself; None: nobody answers."""
        if not self.agent_runs:
            return None
        self.version += 1
        plan = self._planned()
        state = self.state
        return SiteStatus(
            site=self.name,
            version=self.version,
            generation=state.generation,
            epoch=state.epoch,
            accounts={account: hash_ for account, (hash_, _) in sorted(state.chunk_bytes().items())},
            settled=plan.settled and not self.held,
            held=self.held,
            speaker="model",
            speaker_up=self.announced is not None,
            sent={r.prefix: r.as_path for r in self.announced or ()},
            machines=tuple(MachineStatus(n, m.believed_live, 0, None) for n, m in self.machines.items()),
            waiting=plan.waiting,
            fault=self.fault,
        )

    # -- its machines -------------------------------------------------------------------------------

    def machine_round(self, name: str, *, upto: int = 3, answer_lost: bool = False) -> None:
        """Ask a machine, offer it its set, let it take that; ``upto``: after how much of it to stop."""
        machine = self.machines[name]
        machine.believed_live = machine.runs
        if not machine.runs or upto < 1:
            return
        wanted = self.plan().bindings
        machine.fresh = True
        machine.believed = machine.has if machine.has == wanted else machine.believed & machine.has
        if upto < 2 or machine.has == wanted:
            return
        machine.believed &= wanted
        if upto < 3:
            return
        self._take(name, machine, wanted)
        if not answer_lost:
            machine.believed = wanted

    def _take(self, name: str, machine: Machine, wanted: frozenset[SiteBinding]) -> None:
        gone = machine.has - wanted
        if gone:
            under = tuple(p for p in self.rib if self._stands_only_on(p, gone, wanted))
            self._note(Unbound(self.name, name, gone, under))
        machine.has = wanted

    def _stands_only_on(
        self, prefix: Prefix, gone: frozenset[SiteBinding], kept: frozenset[SiteBinding]
    ) -> bool:
        """Tell whether a route out there loses what it stands on, and does not stand on something else.

        It stands on what any chunk since the last release gave it.
        """
        if not any(covers(prefix, b.cidr) or covers(b.cidr, prefix) for b in gone):
            return False
        states = (
            self.effectively(), self.projections.desired(self.state), *self.projections.left(self.state)
        )  # fmt: skip
        return not any(state.needs.get(prefix) and state.needs[prefix] <= kept for state in states)

    # -- its speaker --------------------------------------------------------------------------------

    def attach(self) -> None:
        if self.announced is None and self.agent_runs and not self.fault:
            self.announced = frozenset(self.rib.values())

    def begin_set(self) -> None:
        """Hand the plan's routes to the speaker; what becomes of them is up to :meth:`carry_out`."""
        if self.flying or not self.agent_runs or self.fault:
            return
        plan = self.plan()
        if plan.routes is None or plan.routes == self.announced:
            return
        live = [m for m in self.machines.values() if m.believed_live]
        desired = self.effectively()
        for route in plan.routes:
            if route.prefix not in self.rib:
                needs = desired.needs.get(route.prefix, frozenset())
                holding = sum(1 for m in live if needs and needs <= m.has)
                self._note(Announced(self.name, route, holding, len(live)))
        self.in_flight, self.flying = plan.routes, True

    def carry_out(self, part: int = -1) -> None:
        """Let the speaker carry out a part (a bit a prefix) of what it was given; -1: all, and it says so."""
        if not self.flying:
            return
        wanted = {r.prefix: r for r in self.in_flight}
        for at, prefix in enumerate(sorted(wanted.keys() | self.rib.keys())):
            if not part >> at & 1:
                continue
            if prefix in wanted:
                self.rib[prefix] = wanted[prefix]
            else:
                self._withdrew(self, prefix)
                del self.rib[prefix]
        if part == -1:
            self.announced, self.in_flight, self.flying = self.in_flight, frozenset(), False

    # -- what breaks --------------------------------------------------------------------------------

    def lose_speaker_link(self) -> None:
        """The connection to the speaker ends; its routes stay."""
        self.announced, self.in_flight, self.flying = None, frozenset(), False

    def restart_speaker(self) -> None:
        """The speaker comes back empty: its sessions' loss, which nobody can help."""
        self.rib.clear()
        self.lose_speaker_link()

    def stop_agent(self) -> None:
        self.agent_runs = False
        self.lose_speaker_link()

    def start_agent(self, *, torn: bytes = b"") -> None:
        """Start the agent (again) from its journal, with a record at its end that was cut short."""
        before = tuple(encode_record(r) for r in self.state.records())
        self.stop_agent()
        self.agent_runs, self.life = True, self.life + 1
        self.fault = ""
        self.out = {}
        try:
            records, at = decode_journal(self.log + torn)
        except JournalDamagedError as error:
            self.fault = str(error)
            return
        self.log = (self.log + torn)[:at]
        self.state = replay(records)
        self.projections = Known(self.name, OUR_AS)
        for machine in self.machines.values():
            machine.believed, machine.believed_live, machine.fresh = NOTHING, False, False
        self._note(Restarted(self.name, before, tuple(encode_record(r) for r in self.state.records())))

    def damage(self, at: int) -> None:
        """Turn a bit of the journal over, somewhere in front of its last record."""
        if len(self.log) > 64:
            place = at % (len(self.log) - 64)
            self.log = self.log[:place] + bytes([self.log[place] ^ 1]) + self.log[place + 1 :]


def _replayed(log: bytes) -> JournalState:
    return replay(decode_journal(log)[0])
