"""One site at work: journal in the middle, machines and speaker on either side of it.

The start is the cold boot of SAFETY 7: the journal has been read before this exists; machines are given
their bindings and acknowledge; then routes are announced. When the speaker already has them, nothing is
sent. Nothing here withdraws a route on its way out.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import structlog

from controller.agent.break_glass import BreakGlass
from controller.agent.clock import reading, wall_clock
from controller.agent.commands import Surroundings, confirm, confirm_by, decide_all, enrol_all, put_back
from controller.agent.config import AgentConfig, AgentConfigError
from controller.agent.epoch import Reached, told
from controller.agent.errors import JournalError
from controller.agent.forwarding import forward_routes
from controller.agent.guard import ORDINARY, Guarded, judge, moot, released, unreleased
from controller.agent.health import Health, count
from controller.agent.health_report import Wishes
from controller.agent.journal import Journal
from controller.agent.journal_records import Adopted, Decided, Settled, Undrained
from controller.agent.key_file import KeyFile
from controller.agent.machines import MachineTracker
from controller.agent.outstanding import charged_anew, still_out, why_busy
from controller.agent.override import with_emergencies
from controller.agent.policy import FLOOR, AgentPolicy
from controller.agent.reconcile import Facts, Plan, reconcile
from controller.agent.registry import Register
from controller.agent.report import Report
from controller.agent.site_drains import SiteDrains
from controller.agent.site_state import Projections
from controller.agent.speaker_link import SpeakerLink
from controller.agent.standing import effective, kept_bindings
from controller.bgp import Prefix
from controller.machine.errors import KernelRoutesError
from controller.machine.kernel_routes import set_routes
from controller.machine.routes import FORWARD_PROTOCOL, KernelRoute
from controller.observe.rib import RibRow
from controller.safety.budget import Budget
from controller.speakers.bird import BirdSpeaker
from controller.speakers.exabgp import ExabgpSpeaker
from controller.speakers.protocol import Speaker
from controller.transport.messages import (
    Command,
    Confirmation,
    Done,
    DrainOrder,
    HealthGrant,
    HeldEffect,
    NewerJournal,
    Outcome,
    Receipt,
    RegistryNews,
    SiteStatus,
    Waiting,
)

FORWARD_RETRY_S = 1.0

CUT_OFF_AGAIN_S = 3600.0
"""Once a site is cut off, it looks at its state again so often."""

SAID_AT_ONCE = 20
"""Held effects that the log names when what is held has changed; the report has all of them."""

EMERGENCY = "an emergency took it off at this site: it comes back when one lifts that"
UNSERVED = (
    "its machines report its bindings absent: it comes back once the announce quorum has held for a time"
)

log = structlog.get_logger()


class Site:
    """The agent's whole state, and the tasks that keep it true."""

    def __init__(
        self,
        journal: Journal,
        config: AgentConfig,
        speaker: Speaker,
        first_version: int,
        policy: AgentPolicy = FLOOR,
    ) -> None:
        self._journal = journal
        self._config = config
        self._keys = KeyFile(config.keys)
        self._policy = policy
        self._projections = Projections(journal.state.site, config.local_as)
        self._register = Register(config.local_as)
        self._wake = asyncio.Event()
        self._speaker = SpeakerLink(speaker, self._wake.set)
        self._machines = [
            MachineTracker(m, config.machine_deadline_s, self._wake.set) for m in config.machines
        ]
        self._forward: frozenset[KernelRoute] | None = None
        self._forward_work = asyncio.Event()
        self._later: asyncio.TimerHandle | None = None
        self._confirm_by: dict[str, tuple[int, float]] = {}
        self._heard_at = reading()
        self._taken: frozenset[Prefix] = frozenset()
        self._glass = BreakGlass(journal, config, self._keys)
        self._drains = SiteDrains(journal, config, self._keys, self._projections)
        self._out: dict[Prefix, float] = {}
        self._health = Health()
        self._wishes = Wishes(secrets.token_hex(4))
        self.told_of: asyncio.Future[Reached] = asyncio.get_running_loop().create_future()
        """Done once the controller has told of a newer journal than this one: it is to be quarantined."""
        self._ruling = judge(self._guarded())
        plan = reconcile(self._facts())
        self.report = Report(self._status(plan), first_version)

    async def run(self) -> None:
        """Keep the site as it is to be, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reconcile(), name="reconcile")
            group.create_task(self._speaker.run(), name="speaker")
            if self._config.forward:
                group.create_task(self._keep_forwarding(), name="forwarding")
            for machine in self._machines:
                group.create_task(machine.run(), name=f"machine-{machine.config.name}")

    def commands(self, commands: Sequence[Command]) -> list[Receipt]:
        """Judge commands in order; those that are ``accepted`` are on disk. Blocks for one sync."""
        state = self._journal.state
        self._heard_at = reading()
        if self.told_of.done():
            return [self._unwritten(c, "quarantined: the controller knows a newer journal") for c in commands]
        decisions = decide_all(commands, state, self._projections.chunks(state), self._around())
        records = [d.record for d in decisions if d.record is not None]
        receipts = [d.receipt for d in decisions]
        if records:
            try:
                self._journal.append(*records)
            except JournalError as error:
                log.warning("commands not journalled", reason=str(error), commands=len(records))
                receipts = [
                    d.receipt if d.record is None else self._unwritten(c, str(error))
                    for c, d in zip(commands, decisions, strict=True)
                ]
            # Before the new plan is made: an announcement needs machines that answer from now on.
            for machine in self._machines:
                machine.refresh()
            self._wake.set()
        for command, receipt in zip(commands, receipts, strict=True):
            log.info(
                "command",
                outcome=receipt.outcome,
                reason=receipt.reason,
                account=command.account_id,
                generation=command.generation,
                rollout=command.rollout_id,
            )
        return receipts

    def confirm(self, confirmation: Confirmation) -> Receipt:
        """Make a command final; ``accepted`` once that is on disk."""
        self._heard_at = reading()
        receipt, record = confirm(confirmation, self._journal.state)
        if record is not None:
            try:
                self._journal.append(record)
            except JournalError as error:
                return msgspec.structs.replace(receipt, outcome="refused", reason=str(error))
            self._wake.set()
        return receipt

    def grant(self, grant: HealthGrant) -> Receipt:
        """Take in that withdrawals for want of bindings may be; the guard has the last word."""
        self._heard_at = reading()
        state = self._journal.state
        outcome, reason = self._wishes.grant(grant, state.site, state.fence, time.monotonic())
        log.info("health grant", outcome=outcome, reason=reason, wishes=len(grant.wishes))
        self._wake.set()
        return Receipt(state.site, state.generation, outcome, reason)

    def drain(self, order: DrainOrder) -> Receipt:
        """Begin or lift a drain; ``accepted`` once that is on disk."""
        self._heard_at = reading()
        busy = why_busy(self._still_out(), self._speaker.reach)
        receipt = self._drains.order(order, self._policy, self._speaker, busy)
        if receipt.outcome == "accepted":
            for machine in self._machines:
                machine.refresh()  # what comes back needs machines that answer from now on
            self._wake.set()
        return receipt

    def enrol(self, news: RegistryNews) -> Receipt:
        """Take in entries of the registry; ``accepted`` once that is on disk. It withdraws nothing."""
        self._heard_at = reading()
        state = self._journal.state
        receipt, records = enrol_all(news, state, self._projections.asked(state), self._around())
        if records:
            try:
                self._journal.append(*records)
            except JournalError as error:
                receipt = msgspec.structs.replace(receipt, outcome="refused", reason=str(error))
            for machine in self._machines:
                machine.refresh()  # what is barred no more needs machines that answer from now on
            self._wake.set()
        log.info("registry", outcome=receipt.outcome, reason=receipt.reason, accounts=len(news.entries))
        return receipt

    def quarantine(self, remembered: NewerJournal) -> Receipt:
        """Take in what the controller remembers of the journal; ``accepted``: it goes into quarantine."""
        state = self._journal.state

        def answer(outcome: Outcome, reason: str) -> Receipt:
            return Receipt(state.site, state.generation, outcome, reason)

        if remembered.site != state.site:
            return answer("refused", f"this is site {state.site}, not {remembered.site}")
        if remembered.fence < state.fence:
            return answer("stale", f"fence {remembered.fence} is below {state.fence}")
        known = told(remembered, state)
        if known is None:
            return answer("refused", f"generation {state.generation} of {state.epoch} is not behind that")
        if not self.told_of.done():
            self.told_of.set_result(known)
        return answer("accepted", "quarantined until it is released")

    def override(self, text: str) -> Done:
        """Let go what is held; raises OverrideRefusedError and JournalError."""
        said = self._glass.override(text, self._ruling.held, self._policy)
        self._wake.set()
        return Done(tuple(said), self._journal.state.nonce)

    def emergency(self, text: str) -> Done:
        """Carry out an emergency; raises OverrideRefusedError and JournalError."""
        state = self._journal.state
        said = self._glass.emergency(
            text,
            self._policy,
            reach=self._speaker.reach,
            desired=self._projections.desired(state),
            chunk_of=self._projections.chunks(state).get,
        )
        for machine in self._machines:
            machine.refresh()
        self._wake.set()
        return Done(tuple(said), state.nonce)

    def decided(self) -> list[Decided]:
        """Return the newest overrides and emergencies that were carried out or refused here, oldest first."""
        return list(self._journal.state.decided)

    def _around(self) -> Surroundings:
        return Surroundings(
            reach=self._speaker.reach,
            intent_keys=self._keys.keys().intents,
            registry_keys=None if self._unchecked() else self._keys.keys().registry,
            now=wall_clock(),
            skew_s=self._policy.clock_skew_s,
            local_as=self._config.local_as,
            project=self._projections.of_chunk,
        )

    def _unchecked(self) -> str:
        """Return why nothing is checked against the registry here; empty when everything is."""
        if not self._policy.guards.registry:
            return "off: the site's policy disarms it (guards.registry)"
        if not self._keys.keys().registry and not self._keys.unread:
            return "off: the agent has no registry key (AgentConfig.keys)"
        return ""

    def _put_back_late(self) -> None:
        """Put back each command that nobody confirmed within its time; what that takes away is held."""
        state, now = self._journal.state, time.monotonic()
        # What the guard holds back is not the controller's silence, as long as the controller is heard.
        held = frozenset() if self._cut_off() else frozenset(h.account_id for h in self._ruling.held)
        self._confirm_by = confirm_by(state.unconfirmed, self._confirm_by, held, now)
        for account_id, (generation, deadline) in list(self._confirm_by.items()):
            if deadline > now:
                continue
            try:
                self._journal.append(
                    put_back(account_id, state, self._projections.chunks(state), self._around())
                )
            except JournalError as error:
                log.warning("not put back: it cannot be journalled", reason=str(error))
                continue
            del self._confirm_by[account_id]
            log.warning("put back: nobody confirmed it", account=account_id, generation=generation)

    def _unwritten(self, command: Command, why: str) -> Receipt:
        current = self._journal.state.hash_of(command.account_id)
        return Receipt(command.site, command.generation, "refused", why, current)

    def set_policy(self, policy: AgentPolicy) -> None:
        """Judge by another policy from now on."""
        self._policy = policy
        self._wake.set()

    async def adj_rib_out(self) -> list[RibRow]:
        """Return what the speaker says it sends; raises a SpeakerError."""
        return await self._speaker.speaker.adj_rib_out()

    async def _reconcile(self) -> None:
        while True:
            self._wake.clear()
            self._put_back_late()
            self._adopt()
            self._look_at_health()
            self._let_go()
            self._carry_out(reconcile(self._facts()))
            await self._wake.wait()

    def _adopt(self) -> None:
        """Note what the speaker has and no account asks for, after a journal was lost; then what is left.

        Once an account asks for such a route its bindings are known; once it is gone nothing stands on it.
        """
        state, reach, announced = self._journal.state, self._speaker.reach, self._speaker.announced
        anew = state.adopting is not None
        if announced is None or reach is None or not (anew or state.adopted):
            return
        asked = {r.prefix for r in self._projections.desired(state).routes}
        had = {r.prefix: r.as_path for r in announced} if anew else state.adopted
        left = {prefix: path for prefix, path in had.items() if prefix in reach and prefix not in asked}
        if not anew and left == state.adopted:
            return
        stands = had.keys() - set(state.adopting or ()) if anew else set()
        drain = state.drains.get(state.site)
        undone = [Undrained(drain.id)] if drain is not None and stands.intersection(drain.goes) else []
        lifted = tuple(sorted(state.withdrawn & stands))
        try:
            self._journal.append(Adopted(tuple(sorted(left.items())), lifted), *undone)
        except JournalError as error:
            log.warning("what the speaker has is not journalled", reason=str(error))
            return
        self._taken -= stands
        log.warning("kept: the speaker has them, and no account here asks for them", routes=len(left))

    def _look_at_health(self) -> None:
        """See which bindings machines report absent, and what is wished for that."""
        now, facts = time.monotonic(), self._facts(with_unserved=True)
        watched = frozenset(self._health.absent_since.keys() | self._health.out.keys())
        counts = count(facts, watched)
        before = self._health
        self._health = before.seen(counts, now, self._policy)
        for prefix in before.out.keys() - self._health.out.keys():
            log.info("its bindings are back", prefix=prefix)
        self._wishes.look(counts, self._health, self._policy, now, facts.announced or frozenset())

    def _let_go(self) -> None:
        """Ask the guard what may be taken away now, and put it on disk before anybody acts on it."""
        self._charge_what_was_late()
        ruling = judge(self._guarded())
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if ruling.lets_go:
            try:
                self._journal.append(released(ruling))
                log.info("let go", routes=len(ruling.routes), bindings=len(ruling.bindings),
                         unserved=ruling.unserved)  # fmt: skip
                self._health = self._health.went(frozenset(ruling.unserved))
                budget = self._journal.state.budgets.get(ORDINARY, Budget())
                self._out |= dict.fromkeys(self._still_out(), budget.passed_s)
            except JournalError as error:
                log.warning("not let go: it cannot be journalled", reason=str(error))
                ruling = unreleased(ruling, str(error))
        due = (ruling.wait_s, self._health.wait_s(time.monotonic(), self._policy))
        waits = [wait for wait in due if wait is not None]
        waits += [deadline - time.monotonic() for _, deadline in self._confirm_by.values()]
        waits.append(self._cut_off_in_s())
        self._later = asyncio.get_running_loop().call_later(max(0.0, min(waits)) + 0.01, self._wake.set)
        if ruling.held != self._ruling.held:
            for held in ruling.held[:SAID_AT_ONCE]:
                log.warning("held", prefix=held.prefix, verb=held.verb, check=held.check, reason=held.reason)
        self._ruling = ruling

    def _carry_out(self, plan: Plan) -> None:
        """Hand the plan to those who act on it; no await between facts and this."""
        state = self._journal.state
        # What adopted routes stand on is not known: until none is left machines keep what they hold.
        if state.adopting is None and not state.adopted:
            for machine in self._machines:
                machine.give(plan.bindings)
        self._speaker.give(plan.routes if state.adopting is None else None)
        # Until a machine has said what it holds, and that is a set we know, the kernel keeps what it has.
        answered = [m for m in self._machines if m.status().hash is not None]
        if self._config.forward and answered and all(m.known for m in answered):
            pairs = [(m.config, m.facts()) for m in self._machines]
            forward = forward_routes(pairs)
            if forward != self._forward:
                self._forward = forward
                self._forward_work.set()
        if plan.release:
            try:
                self._journal.append(Settled(self._journal.state.generation))
                self._wake.set()
            except JournalError as error:
                log.warning("release not journalled", reason=str(error))
        self.report.publish(self._status(plan))

    async def _keep_forwarding(self) -> None:
        """Make the kernel's routes towards machines what they are to be, now and whenever that changes."""
        retry: float | None = None
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._forward_work.wait(), retry)
            self._forward_work.clear()
            retry = None
            if self._forward is None:
                continue
            try:
                await set_routes(self._forward, FORWARD_PROTOCOL, local=False)
            except KernelRoutesError as error:
                log.warning("routes towards machines not installed", reason=str(error))
                retry = FORWARD_RETRY_S

    def _still_out(self) -> frozenset[Prefix]:
        state = self._journal.state
        if not state.going:
            return frozenset()
        desired = effective(self._projections.desired(state), state.standing.values())
        wanted = {r.prefix for r in desired.routes} - self._health.out.keys()
        return still_out(state.going, self._speaker.reach, wanted)

    def _charge_what_was_late(self) -> None:
        """Count withdrawals for the window in which the speaker carried them out (I1)."""
        if self._speaker.reach is None:
            return
        out = self._still_out()
        # What an earlier life of this agent let go was let go nobody knows when.
        self._out = {p: float("-inf") for p in out} | self._out
        budget = self._journal.state.budgets.get(ORDINARY, Budget())
        record = charged_anew(
            self._out, out, name=ORDINARY, budget=budget, now=reading(), limits=self._policy.budget
        )
        if record is not None:
            try:
                self._journal.append(record)
            except JournalError as error:
                log.warning("late withdrawals not charged", reason=str(error))
                return  # it is tried again; meanwhile nothing else can be let go, either
        self._out = {p: at for p, at in self._out.items() if p in out}

    def _guarded(self) -> Guarded:
        state = self._journal.state
        return Guarded(
            busy=why_busy(self._still_out(), self._speaker.reach),
            site=state.site,
            fleet=self._config.fleet,
            policy=self._policy,
            standing=state.standing,
            budgets=state.budgets,
            now=reading(),
            excepted=state.excepted,
            barred={(account, p) for account, listed in state.listed.items() for p in listed.barred},
            drained=state.drains.keys(),
            moot=moot(state.standing, self._projections.desired(state).routes) if state.standing else (),
            wished=self._wishes.due(
                self._projections.chunks(state) if self._wishes.wished else {}, state.standing
            ),
        )

    def _facts(self, *, with_unserved: bool = False) -> Facts:
        """Return what the plan is made from; ``with_unserved``: as if nothing were withdrawn for health."""
        state = self._journal.state
        desired = self._projections.desired(state)
        effectively = effective(desired, state.standing.values())
        unserved = frozenset() if with_unserved else frozenset(self._health.out)
        drained = self._drains.lay_over(effectively, self._policy, self._speaker)
        self._taken |= state.withdrawn | state.emerged.keys() | self._drains.off
        return Facts(
            desired=with_emergencies(drained, state.withdrawn | unserved, state.emerged),
            taken=self._taken | unserved,
            adopted=self._adopted(),
            kept=kept_bindings(desired, effectively),
            left=self._projections.left(self._journal.state),
            announced=self._speaker.announced,
            in_flight=self._speaker.in_flight,
            refused=self._speaker.refused,
            machines=tuple(m.facts() for m in self._machines),
            policy=self._policy,
        )

    def _adopted(self) -> frozenset[Prefix]:
        state = self._journal.state
        return frozenset(state.adopted) - state.going.keys()

    def _status(self, plan: Plan) -> SiteStatus:
        state = self._journal.state
        health = self._wishes.report(self._health, self._ruling.wishes, self._policy)
        barred, conflicts = self._register.look(self._projections.asked(state), state.listed)
        held = (*self._ruling.held, *self._taken_off(), *barred)
        unchecked = self._unchecked()
        return SiteStatus(
            site=state.site,
            version=0,
            generation=state.generation,
            epoch=state.epoch,
            accounts={account: hash_ for account, (hash_, _) in sorted(state.chunk_bytes().items())},
            settled=plan.settled,
            speaker=self._speaker.speaker.name,
            speaker_up=self._speaker.announced is not None,
            sent={r.prefix: r.as_path for r in sorted(self._speaker.announced or ())},
            machines=tuple(m.status() for m in self._machines),
            waiting=(*plan.waiting, *(Waiting(h.prefix, f"held: {h.check}: {h.reason}") for h in held)),
            held=held,
            unconfirmed={account_id: p.generation for account_id, p in sorted(state.unconfirmed.items())},
            nonce=state.nonce,
            cut_off=self._cut_off(),
            fence=state.fence,
            health=health,
            registry=unchecked or "on",
            conflicts=() if unchecked else conflicts,
            drains={site: drain.id for site, drain in sorted(state.drains.items())},
            drained=tuple(sorted(self._drains.off)),
            kept=self._drains.kept(),
            revocations=state.revocations,
            resumed_from=state.resumed_from,
        )

    def _taken_off(self) -> list[HeldEffect]:
        """Return what the journal asks for and an emergency, or the want of bindings, took off here."""
        state = self._journal.state
        off = dict.fromkeys(self._health.out, ("health", UNSERVED))
        off |= dict.fromkeys(state.withdrawn, ("emergency", EMERGENCY))
        if not off:
            return []
        return [
            HeldEffect(account_id, bgp.cidr, "announce", *off[bgp.cidr])
            for account_id, chunk in sorted(self._projections.chunks(state).items())
            for bgp in chunk.bgp_prefixes
            if bgp.cidr in off and bgp.advertised
        ]

    def heard_of_the_controller(self) -> None:
        """Note that somebody asked for the status: the site is not cut off."""
        was_cut_off = bool(self._cut_off())
        self._heard_at = reading()
        if was_cut_off:
            self._wake.set()

    def _cut_off_in_s(self) -> float:
        silent_s = reading().monotonic_s - self._heard_at.monotonic_s
        left = self._policy.unconfirmed_after_s - silent_s
        return left if left > 0 else CUT_OFF_AGAIN_S

    def _cut_off(self) -> str:
        if reading().monotonic_s - self._heard_at.monotonic_s < self._policy.unconfirmed_after_s:
            return ""
        return (
            f"unconfirmed: no word of the controller for {self._policy.unconfirmed_after_s:g} s or more; the "
            "site goes on as it is, and no transfer or unbinding is complete until it is heard again"
        )


def make_speaker(config: AgentConfig) -> Speaker:
    """Return the driver that the configuration names; GoBGP's is slow to import, so only when needed.

    Raises :class:`AgentConfigError` when BIRD's lacks the file to write.
    """
    if config.speaker.kind == "bird":
        if not config.speaker.config_file:
            raise AgentConfigError("a speaker of the kind bird needs speaker.config_file: the file to write")
        return BirdSpeaker(
            config.speaker.socket,
            config_file=Path(config.speaker.config_file),
            config_path=config.speaker.config_path,
            boot_config=config.speaker.boot_config,
            local_as=config.local_as,
        )
    if config.speaker.kind == "gobgp":
        from controller.speakers.gobgp import GobgpSpeaker  # noqa: PLC0415 - imports grpc

        return GobgpSpeaker(config.speaker.socket)
    return ExabgpSpeaker(config.speaker.socket)
