"""A whole history: everything that there is, and the operations that it is made of.

Each operation takes one number, whose bits say to whom it happens and where it is interrupted; so a history
is a list of (operation, number), whoever draws it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from controller.agent.journal_records import encode_record
from controller.agent.policy import AgentPolicy
from controller.bgp import Prefix
from controller.rollout.events import Aborted, GateOutcome, Paused, Resumed
from controller.safety import breaker
from controller.safety.budget import Limit
from controller.safety.effects import subtractive
from controller.safety.policy import Breaker, Lanes, Policy, Waves, Window
from controller.snapshots.compile import apply
from controller.snapshots.model import Change, ChangeSet, SnapshotError, encode_chunk, hash_chunk
from controller.transport.messages import Command
from tests.simulation import actors
from tests.simulation.controller import Controller
from tests.simulation.records import (
    Acknowledged,
    Admitted,
    Calm,
    Fact,
    Looked,
    Refused,
    Withdrew,
    Wrote,
)
from tests.simulation.site import Site
from tests.simulation.store import Store
from tests.simulation.universe import ACCOUNTS, LATER, MACHINES, PARTS, SERVICE, SITES

POLICY = Policy(
    breaker=Breaker(
        floor=5,
        fleet=(Window(seconds=600, number=3, share=1.0),),
        actor=(Window(seconds=600, number=1, share=1.0),),
        account=(Window(seconds=600, number=2, share=1.0),),
        classes=(Window(seconds=600, number=2, share=1.0),),
        owners=(Window(seconds=600, number=4, share=1.0),),
        accounts=(Window(seconds=600, number=1, share=1.0),),
        gone_counts=1,
        several=2,
    ),
    lanes=Lanes(express_bgp_prefixes=1),
    waves=Waves(canaries=1, control=1, shares=(0.5, 1.0), bake_s=20.0),
)
"""Production's rules with numbers that six prefixes at three sites can exceed."""


AGENT = AgentPolicy(budget=(Limit(60, 2), Limit(600, 3)))
"""The agents': two of three sites keep each prefix."""


@dataclass(frozen=True)
class Settings:
    """What of the product is armed in a history; ``Settings()`` is all of it."""

    policy: Policy = POLICY
    agent: AgentPolicy = AGENT


class World:
    """One history. ``new`` are the facts of the operation under way."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.at = 0.0
        self.admitted: list[Admitted] = []
        self.gates_passed: set[tuple[str, int]] = set()
        self.new: list[Fact] = []
        self.store = Store()
        self.backup: Store | None = None
        agent = self.settings.agent
        self.sites = {
            name: Site(name, self.new.append, self._withdrew, lambda: self.at, agent) for name in SITES
        }
        self.withdrawn: list[Withdrew] = []
        self.controller = self._new_controller()
        self.controller_runs = True
        self.late: list[Command] = []
        self.unanswered: list[tuple[ChangeSet, str]] = []
        self.wanted: dict[str, Wrote] = {}
        self.acknowledged: dict[str, str] = {}
        self.highest: dict[str, int] = {}
        self._numbers = 0
        self.hear_all()

    def admitted_as(self, change_set_id: str) -> Admitted | None:
        return next((f for f in self.admitted if f.change_set_id == change_set_id), None)

    def _new_controller(self) -> Controller:
        return Controller(self.store, self.new.append, lambda: self.at, self.settings.policy)

    def take_new(self) -> list[Fact]:
        """Return the facts since the last call; they are kept, too."""
        taken = list(self.new)
        for fact in taken:
            if isinstance(fact, Admitted):
                self.admitted.append(fact)
            elif isinstance(fact, Withdrew):
                self.withdrawn.append(fact)
            elif isinstance(fact, Looked) and not fact.baseline and fact.outcome == "pass":
                self.gates_passed.add((fact.rollout_id, fact.wave))
        self.new.clear()
        return taken

    # -- writes -------------------------------------------------------------------------------------

    def owner_writes(self, bits: int) -> None:
        """An owner changes something of his own; he is asked for what it takes away, and signs it."""
        account = ACCOUNTS[(bits & 3) % 3]
        self._write(
            account, actors.OWNER.format(account), self._some_changes(account, bits >> 2), asked=("owner",)
        )

    def operators_write(self, bits: int) -> None:
        """One operator, or two together."""
        account = ACCOUNTS[(bits & 3) % 3]
        asked = ("op1", "op2") if bits >> 2 & 1 else ()
        self._write(account, actors.OPERATOR, self._some_changes(account, bits >> 3), asked=asked)

    def task_runs_away(self, bits: int) -> None:
        """A task takes away what nobody asked it to, as in the outage: one prefix after another."""
        for n in range(1 + (bits & 1)):
            account, part = ACCOUNTS[(bits >> 1) % 3], (bits >> 3 + n) & 1
            changes = actors.toggle(account, part, False)
            if bits >> 5 & 1:
                changes += actors.unbind(account, part, SERVICE)
            self._write(account, actors.TASK, changes, asked=())

    def malformed_request(self, bits: int) -> None:
        """Something that no compiler may take: it changes nothing, and the answer names what is wrong."""
        account = ACCOUNTS[(bits & 3) % 3]
        changes, field = actors.malformed(account, bits >> 2)
        change_set = self._change_set(account, actors.OWNER.format(account), changes)
        head = self.store.head[account]
        chunk = self.controller.chunk(head)
        try:
            moved = apply(chunk, change_set) != chunk
            self.new.append(Refused("", field, moved))
        except SnapshotError as error:
            self.new.append(Refused(str(error), field, self.store.head[account] != head))

    def write_again(self, _: int) -> None:
        """Whoever was not answered asks again, with the same key."""
        if self.unanswered:
            change_set, key = self.unanswered.pop(0)
            self._send(change_set, key, lost=0)

    def _some_changes(self, account: str, bits: int) -> list[Change]:
        part, what = bits & 1, bits >> 1 & 15
        if what < 8:
            return actors.toggle(account, part, bool(what & 1))
        if what < 10:
            return actors.prepend(account, part, bits >> 5 & 1)
        if what < 12:
            return actors.narrow(account, part, (None, SITES[:2], SITES[1:], SITES[:1])[bits >> 5 & 3])
        if what < 13:
            return actors.bind(account, part, LATER)
        if what < 14:
            return actors.unbind(account, part, LATER)
        return actors.toggle(account, 0, bool(what & 1)) + actors.toggle(account, 1, bool(what & 1))

    def _change_set(
        self, account: str, actor: str, changes: list[Change], intents: tuple[str, ...] = ()
    ) -> ChangeSet:
        self._numbers += 1
        return ChangeSet(
            f"cs{self._numbers}", account, actor, "a history", f"{self.at}", tuple(changes), intents
        )

    def _write(self, account: str, actor: str, changes: list[Change], *, asked: tuple[str, ...]) -> None:
        change_set = self._change_set(account, actor, changes)
        head = self.store.head[account]
        chunk = self.controller.chunk(head)
        # What it takes away from what is operational, and from what stands before it in the queue.
        found = set(actors.taken_away(chunk, change_set.changes)[0])
        for row in self.store.change_sets.values():
            if row.state == "queued" and row.change_set.account_id == account:
                chunk = actors.taken_away(chunk, row.change_set.changes)[1]
        found |= set(actors.taken_away(chunk, change_set.changes)[0])
        wanted = frozenset(found) if asked else frozenset()
        intents = actors.intents_for(account, wanted, head, self.at, asked) if wanted else ()
        change_set = ChangeSet(
            change_set.id, account, actor, change_set.reason, change_set.at, change_set.changes, intents
        )
        self.wanted[change_set.id] = wrote = Wrote(change_set, f"key-{change_set.id}", wanted)
        self._send(change_set, wrote.key, lost=self._numbers * 7 % 16)

    def _send(self, change_set: ChangeSet, key: str, *, lost: int) -> None:
        """Send a write: it may get lost on its way (1), and so may its answer (2)."""
        if not self.controller_runs or lost == 1:
            self.unanswered.append((change_set, key))
            return
        fresh = key not in self.store.keys
        id_ = self.store.write(change_set, key)
        if fresh:
            self.new.append(self.wanted[id_])
        if lost == 2:
            self.unanswered.append((change_set, key))
        else:
            self.acknowledged[key] = id_
            self.new.append(Acknowledged(key, id_))

    # -- the controller -----------------------------------------------------------------------------

    def admit(self, _: int = 0) -> None:
        if self.controller_runs:
            self.controller.admit()

    def hear(self, bits: int) -> None:
        """Ask a site for its status; the answer may be lost."""
        if self.controller_runs:
            site = self._site(bits)
            self.controller.hear(site.name, None if bits >> 4 & 15 == 0 else site.status())

    def hear_all(self) -> None:
        for site in self.sites.values():
            self.controller.hear(site.name, site.status())

    def deliver(self, bits: int) -> None:
        """Send a site what it lacks. The request may be lost, late, or come twice; the answer may be lost."""
        if not self.controller_runs:
            return
        site = self._site(bits)
        command = self.controller.next_command(site.name, bits >> 2 & 3)
        if command is None:
            return
        fate = bits >> 4 & 15
        if fate < 2:
            self.late += [command] * fate
            self.controller.hear(site.name, None)
            return
        receipt = site.command(command)
        if fate == 3:
            self.late.append(command)
        if receipt is None or fate == 2:
            self.controller.hear(site.name, None)
        else:
            self.controller.answered(command, receipt)
            if receipt.outcome in ("stale", "conflict"):
                self.controller.hear(site.name, site.status())

    def late_arrival(self, bits: int) -> None:
        """A command arrives that was sent long ago; nobody waits for its answer any more."""
        if self.late:
            command = self.late.pop(bits % len(self.late))
            self.sites[command.site].command(command)

    def whole_change(self, bits: int) -> None:
        """Let the controller and two or three sites do all that is to be done, as on most days."""
        self.admit()
        for n, _name in enumerate(SITES):
            if bits >> n & 1:
                self.hear(n | 1 << 4)
                self.deliver(n | 4 << 4)
                self.site_goes_on(n | (15 << 2))
                self.hear(n | 1 << 4)

    def controller_crashes(self, bits: int) -> None:
        """It forgets all but its store; it may stay away for a while."""
        self.controller_runs = bool(bits & 3)
        self.controller = self._new_controller()

    def controller_returns(self, _: int = 0) -> None:
        self.controller_runs = True

    def somebody_looks(self, bits: int) -> None:
        """An observer answers for a wave: mostly that it is sound; at times it lies, or cannot tell."""
        if self.controller_runs:
            outcomes: tuple[GateOutcome, ...] = ("fail", "inconclusive", "error", "inconclusive")
            self.controller.look(bits >> 8, outcomes[bits & 3] if bits >> 2 & 3 == 0 else "pass")

    def operator_wishes(self, bits: int) -> None:
        if self.controller_runs:
            wishes = (
                Paused("operator", "to look"),
                Resumed("operator"),
                Resumed("operator"),
                Aborted("wrong"),
            )
            self.controller.wish(bits >> 2, wishes[bits & 3])

    def operator_closes_the_breaker(self, bits: int) -> None:
        """An operator looks at the queue of an open scope, and decides on each group of it."""
        state = self.store.breaker
        if not state.open or not self.controller_runs:
            return
        scope = sorted(state.open)[bits % len(state.open)]
        waiting = breaker.queue(state, scope)
        choices: tuple[breaker.Decision, ...] = ("deploy", "drop", "wait", "drop")
        decisions = dict.fromkeys(breaker.groups(waiting), choices[bits >> 4 & 3])
        self.controller.breaker(
            breaker.Closing(scope, breaker.queue_hash(waiting), decisions, "operator:op2")
        )

    # -- sites --------------------------------------------------------------------------------------

    def site_goes_on(self, bits: int) -> None:
        """Let a site do a round of its work; four bits say which parts of it happen."""
        site = self._site(bits)
        parts = bits >> 2
        if not site.agent_runs or site.fault:
            return
        if parts & 1:
            site.attach()
        for n, name in enumerate(MACHINES):
            if parts & 2:
                site.machine_round(name, upto=3 if parts & 16 == 0 or n else parts >> 6 & 3)
        if parts & 4:
            site.begin_set()
        if parts & 8:
            site.carry_out(-1 if parts & 32 == 0 else parts >> 8 & 255)

    def machine_round(self, bits: int) -> None:
        site = self._site(bits)
        if site.agent_runs and not site.fault:
            site.machine_round(MACHINES[bits >> 2 & 1], upto=bits >> 3 & 3, answer_lost=bool(bits >> 5 & 1))

    def machine_stops(self, bits: int) -> None:
        self._site(bits).machines[MACHINES[bits >> 2 & 1]].runs = False

    def machine_returns(self, bits: int) -> None:
        for machine in self._site(bits).machines.values():
            machine.runs = True

    def agent_crashes(self, bits: int) -> None:
        """It begins anew from its journal, whose last record may be cut short; or it stays away."""
        site = self._site(bits)
        if bits >> 2 & 1:
            torn = encode_record(site.state.records()[0])[: bits >> 4 & 31] if bits >> 3 & 1 else b""
            site.start_agent(torn=torn)
        else:
            site.stop_agent()

    def agent_returns(self, bits: int) -> None:
        site = self._site(bits)
        if not site.agent_runs:
            site.start_agent()

    def speaker_link_lost(self, bits: int) -> None:
        self._site(bits).lose_speaker_link()

    def speaker_restarts(self, bits: int) -> None:
        self._site(bits).restart_speaker()

    def _site(self, bits: int) -> Site:
        return self.sites[SITES[(bits & 3) % 3]]

    def clocks_jump(self, bits: int) -> None:
        """A site reboots, is put back to an older picture of its memory, or its wall clock jumps."""
        site, how = self._site(bits), bits >> 2 & 3
        if how == 0:
            site.clocks.reboot()
            if site.agent_runs:
                site.start_agent()
        elif how == 1:
            site.clocks.back_s += float(bits >> 4 & 1023)
        else:
            site.clocks.wall_off_s = float((bits >> 4 & 0xFFFFF) - 0x80000)

    def stolen_controller(self, bits: int) -> None:
        """Somebody commands an agent past the controller, with what intents have ever been signed."""
        site = self._site(bits)
        account, part = ACCOUNTS[(bits >> 2 & 3) % 3], bits >> 4 & 1
        hash_ = site.state.hash_of(account)
        chunk = site.projections.chunks(site.state)[account]
        changes = actors.toggle(account, part, False)
        if bits >> 5 & 1:
            changes += actors.unbind(account, part, SERVICE)
        body = encode_chunk(actors.taken_away(chunk, tuple(changes))[1])
        replayed = tuple(i for w in self.wanted.values() for i in w.change_set.intents)
        generation = site.state.generation + 1
        command = Command(
            site.name, generation, "stolen", account, hash_, hash_chunk(body), body,
            intents=replayed if bits >> 6 & 1 else (),
        )  # fmt: skip
        site.command(command)

    def _withdrew(self, site: Site, prefix: Prefix) -> None:
        held = next((h for a, h in site.state.accounts.items() if prefix in PARTS[a]), None)
        others = frozenset(s.name for s in self.sites.values() if prefix in s.rib)
        self.new.append(Withdrew(site.name, prefix, self.at, held.rollout_id if held else None, others))

    # -- time and copies ----------------------------------------------------------------------------

    def time_passes(self, bits: int) -> None:
        self.at += (0.5, 5.0, 40.0, 400.0)[bits & 3]
        if self.controller_runs:
            self.controller.deadlines()

    def back_up(self, _: int) -> None:
        self.backup = self.store.copy()

    # -- the end ------------------------------------------------------------------------------------

    def let_all_go_on(self, _: int = 0) -> None:
        """Everything works from now on, for as long as it takes."""
        self.late.clear()
        self.controller_runs = True
        while self.unanswered:
            self.write_again(0)
        for site in self.sites.values():
            if not site.agent_runs:
                site.start_agent()
            for machine in site.machines.values():
                machine.runs = True
        for _ in range(12):
            moved = False
            self.hear_all()
            while self.controller.admit():
                moved = True
            self.at += 60.0
            self.controller.deadlines()
            for rollout in list(self.controller.open.values()):
                self.controller.wish(list(self.controller.open).index(rollout.id), Resumed("operator"))
            while any(r.wants_look for r in self.controller.open.values()):
                self.controller.look(0, "pass")
                moved = True
            for n, name in enumerate(SITES):
                for _command in range(8):
                    if self.controller.next_command(name) is None:
                        break
                    self.deliver(n | 4 << 4)
                    moved = True
                self.site_goes_on(n | 15 << 2)
                self.site_goes_on(n | 15 << 2)
            self.hear_all()
            if not moved and all(
                v.status is None or v.status.settled for v in self.controller.views.values()
            ):
                break
        self.new.append(Calm())


Operation = Callable[[World, int], None]

OPERATIONS: dict[Operation, int] = {
    World.owner_writes: 14,
    World.operators_write: 5,
    World.task_runs_away: 5,
    World.malformed_request: 1,
    World.write_again: 2,
    World.admit: 8,
    World.hear: 8,
    World.deliver: 12,
    World.late_arrival: 3,
    World.whole_change: 10,
    World.controller_crashes: 3,
    World.controller_returns: 4,
    World.site_goes_on: 16,
    World.machine_round: 4,
    World.machine_stops: 2,
    World.machine_returns: 2,
    World.agent_crashes: 4,
    World.agent_returns: 4,
    World.speaker_link_lost: 1,
    World.speaker_restarts: 1,
    World.time_passes: 6,
    World.clocks_jump: 2,
    World.stolen_controller: 2,
    World.somebody_looks: 8,
    World.operator_wishes: 1,
    World.operator_closes_the_breaker: 2,
}
"""What can happen, and how often it does."""


def effects_of(wrote: Wrote) -> tuple[str, ...]:
    return tuple(f"{e.verb} {e.cidr} at {e.site}" for e in sorted(subtractive(wrote.wanted)))
