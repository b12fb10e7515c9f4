"""One machine as the agent knows it: is it live, what does it hold, give it its set.

A machine that is stopped (SIGSTOP) accepts connections and does not answer; so the question is left open
past the deadline, and answered the moment the machine goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from controller.agent.config import MachineConfig
from controller.agent.reconcile import MachineFacts
from controller.machine.bindings import EMPTY, binding_set
from controller.snapshots.projection import SiteBinding
from controller.transport.errors import TransportError, TransportRefusedError
from controller.transport.http import HttpMachineLink
from controller.transport.messages import BindingAck, BindingItem, BindingSet, MachineStatus

OPEN_S = 7 * 86400.0
"""Seconds that a question to a silent machine is left open."""

REDIAL_S = 0.2
"""Seconds between attempts to reach a machine whose socket nobody serves."""

REFUSED_PAUSE_S = 1.0
"""Seconds before a machine that refused its set is asked again."""

log = structlog.get_logger()


class MachineTracker:
    """Follows one machine; ``changed`` is called when something that matters did."""

    def __init__(self, config: MachineConfig, deadline_s: float, changed: Callable[[], None]) -> None:
        self.config = config
        self._deadline_s = deadline_s
        self._changed = changed
        self._link = HttpMachineLink(config.name, config.socket, deadline_s=OPEN_S)
        self._live = False
        self._ack: BindingAck | None = None
        self.known = False  # whether ``held`` is what the machine said last, and not a cautious nothing
        self._held: frozenset[SiteBinding] = frozenset()
        self._target: frozenset[SiteBinding] = frozenset()
        self._target_set: BindingSet | None = None
        self._puts = 0
        self._work = asyncio.Event()
        self._round = 0  # questions of an earlier round prove nothing about what was asked since
        self._fresh_round = -1
        self._ask = asyncio.Event()

    def facts(self) -> MachineFacts:
        """Return what the plan is made from."""
        fresh = self._fresh_round == self._round
        absent = frozenset() if self._ack is None else frozenset(self._ack.absent)
        return MachineFacts(self.config.name, self._live, self._held, fresh, absent, self.known)

    def refresh(self) -> None:
        """Ask the machine anew at once: until it answers, it does not count for a new route."""
        self._round += 1
        self._ask.set()

    def status(self) -> MachineStatus:
        """Return what the site's report says of it."""
        ack = self._ack
        if ack is None:
            return MachineStatus(self.config.name, self._live, 0, None)
        return MachineStatus(self.config.name, self._live, ack.generation, ack.hash, ack.absent)

    def give(self, target: frozenset[SiteBinding]) -> None:
        """Make ``target`` what the machine is to hold."""
        if self._target_set is not None and target == self._target:
            return
        self._target = target
        self._target_set = binding_set(0, (_item(b) for b in target))
        if self._ack is not None:
            self._know(self._ack)
        self._work.set()

    async def run(self) -> None:
        """Follow the machine until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch(), name=f"watch-{self.config.name}")
                group.create_task(self._sync(), name=f"sync-{self.config.name}")
        finally:
            await self._link.close()

    async def _watch(self) -> None:
        """Ask the machine what it holds, a few times within each deadline."""
        while True:
            puts, asked_in = self._puts, self._round
            self._ask.clear()
            question = asyncio.ensure_future(self._link.get())
            try:
                done, _ = await asyncio.wait({question}, timeout=0.75 * self._deadline_s)
                if not done:
                    self._set_live(False)
                ack = await question
            except TransportError:
                self._set_live(False)
                await asyncio.sleep(REDIAL_S)
                continue
            finally:
                question.cancel()
            if puts == self._puts:  # else the answer may be older than what the machine was given since
                self._know(ack)
            self._set_live(True)
            self._answered(asked_in)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ask.wait(), 0.25 * self._deadline_s)

    async def _sync(self) -> None:
        """Give the machine its set whenever it holds another."""
        while True:
            await self._work.wait()
            self._work.clear()
            offered, ack = self._target_set, self._ack
            if offered is None or ack is None or not self._live or ack.hash == offered.hash:
                continue
            offered = BindingSet(ack.generation + 1, offered.hash, offered.bindings)
            target = self._target
            self._held &= target  # from now on it may hold either
            self._puts += 1
            asked_in = self._round
            try:
                answer = await self._link.put(offered)
            except TransportError as error:
                log.warning("machine did not take its bindings", machine=self.config.name, reason=str(error))
                self._puts += 1
                refused = isinstance(error, TransportRefusedError)
                await asyncio.sleep(REFUSED_PAUSE_S if refused else REDIAL_S)
                self._work.set()
                continue
            self._puts += 1
            self._know(answer, {offered.hash: target})
            self._answered(asked_in)
            self._work.set()  # the target may have changed meanwhile

    def _know(self, ack: BindingAck, known: dict[str, frozenset[SiteBinding]] | None = None) -> None:
        """Take in what the machine says it holds."""
        sets = {EMPTY.hash: frozenset[SiteBinding](), **(known or {})}
        if self._target_set is not None:
            sets[self._target_set.hash] = self._target
        same = self._ack is not None and self._ack.hash == ack.hash
        self.known = ack.hash in sets or (same and self.known)
        held = sets.get(ack.hash, self._held if same else frozenset())
        changed = (ack, held) != (self._ack, self._held)
        self._ack, self._held = ack, held
        if self._target_set is not None and ack.hash != self._target_set.hash:
            self._work.set()
        if changed:
            self._changed()

    def _answered(self, asked_in: int) -> None:
        """Note the answer to a question of the round ``asked_in``."""
        if asked_in > self._fresh_round:
            self._fresh_round = asked_in
            if asked_in == self._round:
                self._changed()

    def _set_live(self, live: bool) -> None:
        if live == self._live:
            return
        self._live = live
        log.info("machine answers" if live else "machine is silent", machine=self.config.name)
        if live:
            self._work.set()
        self._changed()


def _item(binding: SiteBinding) -> BindingItem:
    return BindingItem(binding.cidr, binding.service_id, binding.account_id, binding.binding_id)
