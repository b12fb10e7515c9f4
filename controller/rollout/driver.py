"""Admits change-sets in order, keeps the roll-outs' machines, and writes down what they say.

All state that matters is in the database before anything is sent: after a crash the driver reads it again
and goes on. Everything here runs on one event loop; the database is used from worker threads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Container, Iterable, Mapping
from typing import NoReturn

import structlog

from controller.rollout import records
from controller.rollout.conflicts import Conflicts, Settled
from controller.rollout.course import Rollout
from controller.rollout.delivery import Unknown, judge, next_move
from controller.rollout.events import Conclude, DeadlinePassed, Deliver, Event, SiteHeard
from controller.rollout.machine import step
from controller.rollout.records import Admission, Target, Tracked
from controller.rollout.site import SiteFollower
from controller.rollout.states import SiteEvent
from controller.rollout.supervise import keep_running
from controller.snapshots import store as snapshots
from controller.snapshots.model import ChunkHash, DamagedChunkError
from controller.store import Store
from controller.transport.messages import SiteStatus
from controller.transport.protocol import SiteLink

log = structlog.get_logger()


class Driver:
    """The roll-outs of one controller. Make it, :meth:`start` it on an event loop, then :meth:`run`."""

    def __init__(
        self,
        store: Store,
        links: Mapping[str, SiteLink],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store = store
        self.sites = {site: SiteFollower(site, link, self) for site, link in links.items()}
        self.conflicts = Conflicts(store)
        self.ending = False
        self._known: set[str] = set()
        self._clock = clock
        self._targets: dict[str, dict[str, Target]] = {}
        self._open: dict[str, Tracked] = {}
        self._order: dict[str, list[Tracked]] = {}  # by account, oldest first
        self._unsaved: dict[str, Rollout] = {}
        self._queue_grew = asyncio.Event()
        self._to_save = asyncio.Event()
        self._deadline_moved = asyncio.Event()
        self._watchers: dict[str, set[asyncio.Event]] = {}
        self._changed: list[Callable[[str], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    # -- what others call ---------------------------------------------------------------------------

    async def start(self) -> None:
        """Read back roll-outs, sites' trees and known chunks; whatever was begun goes on from here."""
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._load)
        for tracked in list(self._open.values()):
            for site in tracked.rollout.sites.keys() - self.sites.keys():
                why = f"{site} is not a site of this controller any more: start it with --site {site}=…"
                self._step(tracked, SiteHeard(site, SiteEvent.UNREACHED, why))

    async def run(self) -> NoReturn:
        """Do everything for ever; cancel it to stop (nothing is withdrawn, everything is on disk)."""
        async with asyncio.TaskGroup() as group:
            group.create_task(keep_running("admission", self._admit_for_ever))
            group.create_task(keep_running("recorder", self._record_for_ever))
            group.create_task(keep_running("deadlines", self._watch_deadlines))
            for site, follower in self.sites.items():
                group.create_task(keep_running(f"status of {site}", follower.follow))
                group.create_task(keep_running(f"delivery to {site}", follower.deliver))
        raise AssertionError("tasks that never end have ended")

    async def close(self) -> None:
        """Write down what is not written yet, and let go of the agents."""
        await self._record()
        for follower in self.sites.values():
            await follower.link.close()

    def change_set_queued(self, change_set_id: str) -> None:
        """Wake the admission; may be called from any thread, once the write has been committed."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._queue_grew.set)

    def on_change(self, callback: Callable[[str], None]) -> None:
        """Call back with the account's id, on the event loop, when something of it was written down."""
        self._changed.append(callback)

    def watch(self, change_set_id: str) -> asyncio.Event:
        """Return an event that is set when something is written down about a change-set.

        Give it back with :meth:`unwatch`.
        """
        event = asyncio.Event()
        self._watchers.setdefault(change_set_id, set()).add(event)
        return event

    def unwatch(self, change_set_id: str, event: asyncio.Event) -> None:
        """End :meth:`watch`."""
        waiting = self._watchers.get(change_set_id, set())
        waiting.discard(event)
        if not waiting:
            self._watchers.pop(change_set_id, None)

    def release(self) -> None:
        """Wake everybody who watches, for good: the process is about to end."""
        self.ending = True
        for events in self._watchers.values():
            for event in events:
                event.set()

    # -- admission ----------------------------------------------------------------------------------

    async def _admit_for_ever(self) -> NoReturn:
        self._queue_grew.set()
        for follower in self.sites.values():
            await follower.tried.wait()  # so that a conflict shows before anything is compiled
        while True:
            await self._queue_grew.wait()
            self._queue_grew.clear()
            while admitted := await asyncio.to_thread(self._admit):
                for admission in admitted:
                    self._admitted(admission)

    def _admit(self) -> list[Admission]:
        with self.store.read() as session:
            if not records.has_queued(session):
                return []
        with self.store.write() as session:
            return records.admit_next(session, tuple(self.sites), self._blocked, self._clock())

    def _blocked(self, account_id: str) -> str | None:
        """Say why nothing of an account can be carried out: each site that answers holds what is not ours."""
        answering = [f for f in self.sites.values() if f.view.reachable]
        whys = []
        for follower in answering:
            foreign = self.is_foreign(follower.site, account_id)
            move = next_move(_ANY, follower.held.get(account_id), self._known, foreign=foreign)
            if not isinstance(move, Unknown):
                return None
            whys.append(f"{follower.site}: {move.reason}")
        return "; ".join(whys) or None

    def _admitted(self, admission: Admission) -> None:
        tracked = admission.tracked
        if tracked is None:
            log.warning("change-set refused", change_set=admission.change_set_id, reason=admission.reason)
            self._announce(admission.change_set_id, admission.account_id)
            return
        rollout = tracked.rollout
        log.info("roll-out begins", rollout=rollout.id, change_set=rollout.change_set_id,
                 account=rollout.account_id, to=rollout.to_hash[:12])  # fmt: skip
        self._known.add(rollout.to_hash)
        self._track(tracked)
        self._aim(rollout, tuple(s for s, p in rollout.sites.items() if p.wave <= rollout.wave))
        self._announce(rollout.change_set_id, rollout.account_id)
        for site in rollout.sites:
            self._judge(site, rollout.account_id)
        self._deadline_moved.set()

    def _track(self, tracked: Tracked) -> None:
        self._open[tracked.rollout.id] = tracked
        self._order.setdefault(tracked.rollout.account_id, []).append(tracked)

    def _aim(self, rollout: Rollout, sites: tuple[str, ...]) -> None:
        for site in sites:
            if site in self.sites:
                self._targets[site][rollout.account_id] = Target(rollout.to_hash, rollout.id)
                self.sites[site].look_at(rollout.account_id)

    # -- what the followers ask and tell (controller.rollout.site.Book) -----------------------------

    @property
    def known(self) -> Container[str]:
        """Names of all chunks that this controller ever made."""
        return self._known

    def targets(self, site: str) -> Mapping[str, Target]:
        """What the site is to have, by account."""
        return self._targets[site]

    def given(self, site: str) -> int:
        """The highest generation that this store has given the site."""
        return self.conflicts.given(site)

    def is_foreign(self, site: str, account_id: str) -> bool:
        """Whether the site holds the account's chunk by a command that this store never gave."""
        return account_id in self.conflicts.at(site)

    async def recognise(self, status: SiteStatus) -> None:
        """Keep that a site was given commands that this store does not know; none of it is ever undone."""
        stale = await self.conflicts.recognise(status, self._targets[status.site])
        for change_set_id, account_id in stale.items():
            self._announce(change_set_id, account_id)

    def heard(self, site: str) -> None:
        """Judge every roll-out that is open by what the site says now."""
        if self.conflicts.settle(site, self.sites[site].held, self._targets[site]):
            self._to_save.set()
        for account_id in list(self._order):
            self._judge(site, account_id)

    def unreached(self, site: str, reason: str) -> None:
        """Tell every roll-out that waits for the site."""
        for tracked in list(self._open.values()):
            self._step(tracked, SiteHeard(site, SiteEvent.UNREACHED, reason))

    def told(self, site: str, account_id: str, event: SiteEvent, reason: str) -> None:
        """Pass on an answer to the account's roll-outs that it is about.

        An earlier roll-out can only get there by way of the newest, so it shares a refusal; one that is in
        the site's journal already does not. An acceptance is judged by what the site holds now.
        """
        if event is SiteEvent.ACCEPTED:
            self._judge(site, account_id)
            return
        held = self.sites[site].held.get(account_id)
        for tracked in list(self._order.get(account_id, ())):
            if tracked.rollout.to_hash != held:
                self._step(tracked, SiteHeard(site, event, reason))

    async def bodies(self, hashes: Collection[ChunkHash]) -> Mapping[ChunkHash, bytes | DamagedChunkError]:
        """The chunks' bytes, or what is wrong with them."""

        def read() -> dict[ChunkHash, bytes | DamagedChunkError]:
            found: dict[ChunkHash, bytes | DamagedChunkError] = {}
            with self.store.read() as session:
                for hash_ in hashes:
                    try:
                        found[hash_] = snapshots.chunk_body(session, hash_)
                    except DamagedChunkError as error:
                        found[hash_] = error
            return found

        return await asyncio.to_thread(read)

    async def reserve(self, site: str, floor: int, count: int) -> range:
        """Generations that were never given, all above ``floor``, kept on disk."""

        return await self.conflicts.reserve(site, floor, count)

    # -- the machines -------------------------------------------------------------------------------

    def _judge(self, site: str, account_id: str) -> None:
        follower = self.sites.get(site)
        if follower is None:
            return
        if follower.view.reachable is False:
            for tracked in list(self._order.get(account_id, ())):
                self._step(tracked, SiteHeard(site, SiteEvent.UNREACHED, follower.view.reason))
            return
        if follower.view.status is None:
            return
        if account_id in follower.in_flight:
            return  # its answer will tell more than a status from before it
        later: set[str] = set()
        for tracked in reversed(list(self._order.get(account_id, ()))):
            rollout = tracked.rollout
            event, reason = judge(
                rollout.to_hash,
                later,
                account_id,
                follower.view.status,
                held=follower.held.get(account_id),
                known=self._known,
                changed=tracked.footprint,
                foreign=self.is_foreign(site, account_id),
            )
            later.add(rollout.to_hash)
            self._step(tracked, SiteHeard(site, event, reason))

    def _step(self, tracked: Tracked, event: Event) -> None:
        before = tracked.rollout
        after, commands = step(before, event, self._clock())
        if after == before:
            return
        tracked.rollout = after
        for command in commands:
            if isinstance(command, Deliver):
                self._aim(after, command.sites)
            elif isinstance(command, Conclude):
                log.info("roll-out over", rollout=after.id, change_set=after.change_set_id,
                         outcome=command.outcome.value, reason=command.reason)  # fmt: skip
        self._unsaved[after.id] = after
        self._to_save.set()
        if after.quiet:
            self._forget(tracked)

    def _forget(self, tracked: Tracked) -> None:
        rollout = tracked.rollout
        self._open.pop(rollout.id, None)
        left = [t for t in self._order.get(rollout.account_id, []) if t is not tracked]
        if left:
            self._order[rollout.account_id] = left
        else:
            self._order.pop(rollout.account_id, None)

    async def _watch_deadlines(self) -> NoReturn:
        while True:
            self._deadline_moved.clear()
            now = self._clock()
            for tracked in list(self._open.values()):
                deadline = tracked.rollout.deadline
                if deadline is not None and deadline <= now:
                    self._step(tracked, DeadlinePassed())
            ahead = [t.rollout.deadline for t in self._open.values() if t.rollout.deadline is not None]
            timeout = max(0.0, min(ahead) - self._clock()) if ahead else None
            try:
                async with asyncio.timeout(timeout):  # wait_for may swallow a cancellation (CPython 3.11)
                    await self._deadline_moved.wait()
            except TimeoutError:
                continue

    # -- the record ---------------------------------------------------------------------------------

    def _load(self) -> None:
        with self.store.write() as session:
            records.join_sites(session, self.sites)
            self._known.update(records.known_chunks(session))
            for site in self.sites:
                self._targets[site] = records.targets(session, site)
            self.conflicts.load(session, self._targets)
            for tracked in records.load_open(session):
                self._track(tracked)

    async def _record_for_ever(self) -> NoReturn:
        while True:
            await self._to_save.wait()
            await self._record()

    async def _record(self) -> None:
        self._to_save.clear()
        batch, self._unsaved = self._unsaved, {}
        settled = self.conflicts.take_settled()
        if not batch and not settled:
            return
        saved = False
        try:
            await asyncio.to_thread(self._save, batch, settled)
            saved = True
        finally:
            if not saved:  # nothing is lost: newer states win, and it is tried again
                self._unsaved = batch | self._unsaved
                self.conflicts.put_back(settled)
                self._to_save.set()
        for rollout in batch.values():
            self._announce(rollout.change_set_id, rollout.account_id)

    def _save(self, batch: Mapping[str, Rollout], settled: Iterable[Settled]) -> None:
        with self.store.write() as session:
            records.save(session, batch.values())
            for site, account_id, generation in settled:
                records.forget_conflict(session, site, account_id, generation)

    def _announce(self, change_set_id: str, account_id: str) -> None:
        for event in self._watchers.get(change_set_id, ()):
            event.set()
        for callback in self._changed:
            callback(account_id)


_ANY = ChunkHash("")
"""A target that no site holds: asks only whether what is held is known."""
