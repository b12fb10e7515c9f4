"""One site at work: journal in the middle, machines and speaker on either side of it.

The start is the cold boot of SAFETY 7: the journal has been read before this exists; machines are given
their bindings and acknowledge; then routes are announced. When the speaker already has them, nothing is
sent. Nothing here withdraws a route on its way out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

import structlog

from controller.agent.commands import decide_all
from controller.agent.config import AgentConfig, AgentConfigError
from controller.agent.errors import JournalError
from controller.agent.forwarding import forward_routes
from controller.agent.journal import Journal
from controller.agent.journal_records import Settled
from controller.agent.machines import MachineTracker
from controller.agent.reconcile import Facts, Plan, reconcile
from controller.agent.report import Report
from controller.agent.site_state import Projections
from controller.agent.speaker_link import SpeakerLink
from controller.machine.errors import KernelRoutesError
from controller.machine.kernel_routes import set_routes
from controller.machine.routes import FORWARD_PROTOCOL, KernelRoute
from controller.observe.rib import RibRow
from controller.speakers.bird import BirdSpeaker
from controller.speakers.exabgp import ExabgpSpeaker
from controller.speakers.protocol import Speaker
from controller.transport.messages import Command, Receipt, SiteStatus

FORWARD_RETRY_S = 1.0

log = structlog.get_logger()


class Site:
    """The agent's whole state, and the tasks that keep it true."""

    def __init__(self, journal: Journal, config: AgentConfig, speaker: Speaker, first_version: int) -> None:
        self._journal = journal
        self._config = config
        self._projections = Projections(journal.state.site, config.local_as)
        self._wake = asyncio.Event()
        self._speaker = SpeakerLink(speaker, self._wake.set)
        self._machines = [
            MachineTracker(m, config.machine_deadline_s, self._wake.set) for m in config.machines
        ]
        self._forward: frozenset[KernelRoute] | None = None
        self._forward_work = asyncio.Event()
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
        decisions = decide_all(commands, state, self._projections.chunks(state))
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

    def _unwritten(self, command: Command, why: str) -> Receipt:
        current = self._journal.state.hash_of(command.account_id)
        return Receipt(command.site, command.generation, "refused", why, current)

    async def adj_rib_out(self) -> list[RibRow]:
        """Return what the speaker says it sends; raises a SpeakerError."""
        return await self._speaker.speaker.adj_rib_out()

    async def _reconcile(self) -> None:
        while True:
            self._wake.clear()
            self._carry_out(reconcile(self._facts()))
            await self._wake.wait()

    def _carry_out(self, plan: Plan) -> None:
        """Hand the plan to those who act on it; no await between facts and this."""
        for machine in self._machines:
            machine.give(plan.bindings)
        self._speaker.give(plan.routes)
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

    def _facts(self) -> Facts:
        return Facts(
            desired=self._projections.desired(self._journal.state),
            left=self._projections.left(self._journal.state),
            announced=self._speaker.announced,
            in_flight=self._speaker.in_flight,
            refused=self._speaker.refused,
            machines=tuple(m.facts() for m in self._machines),
        )

    def _status(self, plan: Plan) -> SiteStatus:
        state = self._journal.state
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
            waiting=plan.waiting,
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
