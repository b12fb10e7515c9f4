"""Admits change-sets in order, keeps the roll-outs' machines, and writes down what they say.

All state that matters is in the database before anything is sent: after a crash the driver reads it again
and goes on. Everything here runs on one event loop; the database is used from worker threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NoReturn

import structlog

from controller.guard.admission import Guard
from controller.rollout import records, reverts
from controller.rollout.acts import Act, Done, PutAside, carry_out, reverted_by
from controller.rollout.begin import Begun
from controller.rollout.breaker_watch import BreakerWatch
from controller.rollout.carried import intents_between
from controller.rollout.conflicts import Conflicts, Settled
from controller.rollout.course import Rollout
from controller.rollout.crash_points import crash_point
from controller.rollout.delivery import Unknown, judge, next_move
from controller.rollout.errors import RolloutOverError, UnknownRolloutError
from controller.rollout.events import (
    Aborted,
    BreakerClosed,
    BreakerOpened,
    Conclude,
    Confirm,
    DeadlinePassed,
    Deliver,
    Event,
    Paused,
    Resumed,
    Revert,
    RevertEnded,
    SiteHeard,
)
from controller.rollout.gatekeeper import Gatekeeper, NobodyLooks
from controller.rollout.looking import Looker
from controller.rollout.machine import step
from controller.rollout.records import Admission
from controller.rollout.site import SiteFollower
from controller.rollout.states import HANDED, OVER, RolloutState, SiteEvent, SiteState
from controller.rollout.supervise import keep_running
from controller.rollout.tracked import Handing, Target, Terms, Tracked, rebased
from controller.safety.policy import Policy
from controller.snapshots import store as snapshots
from controller.snapshots.model import ChunkHash, DamagedChunkError
from controller.store import Store
from controller.transport.messages import SiteStatus
from controller.transport.protocol import SiteLink

log = structlog.get_logger()

Wish = Paused | Resumed | Aborted
"""What people want of a roll-out."""


class Driver:
    """The roll-outs of one controller. Make it, :meth:`start` it on an event loop, then :meth:`run`.

    ``guard`` judges change-sets; None: one of ``policy`` without a key, so that whatever takes something away
    is held. ``policy`` None: the guard's, or production's.
    """

    def __init__(
        self,
        store: Store,
        links: Mapping[str, SiteLink],
        *,
        policy: Policy | None = None,
        gatekeeper: Gatekeeper | None = None,
        guard: Guard | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store = store
        self.sites = {site: SiteFollower(site, link, self) for site, link in links.items()}
        self.conflicts = Conflicts(store)
        self.ending = False
        self.fence = 0
        """The token by which this controller leads (``rollout.lease``); 0 when nobody asked for a lease."""
        self._known: set[str] = set()
        self._clock = clock
        self._targets: dict[str, dict[str, Target]] = {}
        self._open: dict[str, Tracked] = {}
        self._order: dict[str, list[Tracked]] = {}  # by account, oldest first
        self._unsaved: dict[str, Tracked] = {}
        self._acts: list[tuple[Tracked, Act]] = []  # to be carried out with the next write
        self._reverting: dict[str, Tracked] = {}  # by the change-sets that take them back
        self._revert_moved = asyncio.Event()
        self._to_admit = False
        self._gone: dict[str, float] = {}  # since when what first halves of deletes withdrew is gone
        self._writing = asyncio.Lock()  # what is written, and what follows from it in memory, in one order
        self.guard = guard or Guard(policy)
        self.policy = policy or self.guard.policy
        self.breaker = BreakerWatch(store, self.policy, self.breaker_opened, self.breaker_closed)
        self._looker = Looker(gatekeeper or NobodyLooks(), self._followed, self._step, self.terms)
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
            self._go_on_with(tracked)
            for site in tracked.rollout.sites.keys() - self.sites.keys():
                why = f"{site} is not a site of this controller any more: start it with --site {site}=…"
                self._step(tracked, SiteHeard(site, SiteEvent.UNREACHED, why))

    async def run(self) -> NoReturn:
        """Do everything for ever; cancel it to stop (nothing is withdrawn, everything is on disk)."""
        async with asyncio.TaskGroup() as group:
            group.create_task(keep_running("admission", self._admit_for_ever))
            group.create_task(keep_running("recorder", self._record_for_ever))
            group.create_task(keep_running("deadlines", self._watch_deadlines))
            group.create_task(keep_running("gates", self._looker.run))
            group.create_task(keep_running("breaker", self.breaker.run))
            group.create_task(keep_running("reverts", self._watch_reverts))
            for site, follower in self.sites.items():
                group.create_task(keep_running(f"status of {site}", follower.follow))
                group.create_task(keep_running(f"delivery to {site}", follower.deliver))
        raise AssertionError("tasks that never end have ended")

    async def close(self) -> None:
        """Write down what is not written yet, and let go of the agents."""
        await self._record()
        for follower in self.sites.values():
            await follower.link.close()

    def highest_fence(self) -> int:
        """Return the highest fence that a site tells of."""
        return max((f.view.status.fence for f in self.sites.values() if f.view.status), default=0)

    def lead_by(self, fence: int) -> None:
        """Command by another fence from now on."""
        self.fence = fence

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
            while await self._admit_some():
                pass

    async def _admit_some(self) -> bool:
        async with self._writing:
            admitted = await asyncio.to_thread(self._admit)
            if admitted:
                crash_point("admission-written")
            for admission in admitted:
                self._admitted(admission)
        self._wake_after_grace()
        return bool(admitted)

    def _wake_after_grace(self) -> None:
        """Look at the queue again when the grace of a delete's second half is over."""
        if self._gone and self._loop is not None:
            over = min(self._gone.values()) + self.policy.lanes.unbind_after_s
            self._loop.call_later(max(0.05, over - self._clock()), self._queue_grew.set)

    def _admit(self) -> list[Admission]:
        with self.store.read() as session:
            if not records.has_queued(session):
                return []
        sites = tuple(self.sites)
        try:
            with self.store.write() as session:
                admitted = records.admit_next(
                    session,
                    sites,
                    self._blocked,
                    self._clock(),
                    self.guard,
                    terms=self.terms(),
                    gone=self._gone,
                )
                if admitted:
                    crash_point("admission-unwritten")
        except BaseException:
            self.guard.forget()  # what it counted is undone
            raise
        return admitted

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

    def terms(self) -> Terms:
        """On which terms change-sets become roll-outs now."""
        statuses = {site: f.view.status for site, f in self.sites.items()}
        return Terms(self.policy, {s: "" if t is None else t.speaker for s, t in statuses.items()})

    def _admitted(self, admission: Admission) -> None:
        if admission.begun is None:
            log.warning("change-set kept back", change_set=admission.change_set_id, reason=admission.reason)
            self._announce(admission.change_set_id, admission.account_id)
            self.breaker.moved()
            return
        self._began(admission.begun)

    def _began(self, begun: Begun) -> None:
        """Follow a roll-out that is on disk; what it changed of others' is so in memory, too."""
        rollout = begun.tracked.rollout
        log.info("roll-out begins", rollout=rollout.id, change_set=rollout.change_set_id,
                 lane=rollout.course.lane, account=rollout.account_id, to=rollout.to_hash[:12])  # fmt: skip
        self._known |= {rollout.to_hash, *begun.names.values(), *begun.targets.values()}
        for other in self._order.get(rollout.account_id, ()):
            if other.rollout.course.gated:
                other.rollout = rebased(other.rollout, begun.names)
                self._unsaved[other.rollout.id] = other
                self._to_save.set()
        self._track(begun.tracked)
        for site, hash_ in begun.targets.items():
            self._aim(rollout, (site,), hash_)
        self._announce(rollout.change_set_id, rollout.account_id)
        for site in rollout.sites:
            self._judge(site, rollout.account_id)
        self._deadline_moved.set()
        self._looker.wake()

    def _followed(self) -> Iterable[Tracked]:
        return self._open.values()

    def _track(self, tracked: Tracked) -> None:
        if tracked.rollout.quiet:
            return
        self._open[tracked.rollout.id] = tracked
        self._order.setdefault(tracked.rollout.account_id, []).append(tracked)

    def _aim(self, rollout: Rollout, sites: Iterable[str], hash_: ChunkHash | None) -> None:
        for site in sites:
            if site not in self.sites:
                continue
            if hash_ is None:
                self._targets[site].pop(rollout.account_id, None)
            else:
                self._targets[site][rollout.account_id] = Target(hash_, rollout.id)
            self.sites[site].look_at(rollout.account_id)

    # -- what people and the breaker wish -----------------------------------------------------------

    async def wish(self, rollout_id: str, event: Wish) -> None:
        """Give a person's wish to a roll-out, and write down what it makes of it; raises as :meth:`check`."""
        self._step(self.check(rollout_id, event), event)
        await self._record()

    def check(self, rollout_id: str, event: Wish) -> Tracked:
        """Return the roll-out that a wish would change.

        Raises :class:`UnknownRolloutError`, or :class:`RolloutOverError` when it would change nothing.
        """
        tracked = self._open.get(rollout_id)
        if tracked is None:
            raise UnknownRolloutError(f"no roll-out {rollout_id} is under way: see herald rollouts list")
        rollout = tracked.rollout
        newer = [t.rollout.id for t in self._order.get(rollout.account_id, ()) if t.seq > tracked.seq]
        if isinstance(event, Aborted) and newer and not rollout.under_way:
            raise RolloutOverError(
                f"roll-out {rollout_id} is everywhere, and {newer[0]} stands on it: see herald rollback"
            )
        if step(rollout, event, self._clock())[0] == rollout:
            raise RolloutOverError(
                f"roll-out {rollout_id} is {rollout.state.value}, and that changes nothing of it"
                + (f": {rollout.reason}" if rollout.reason else "")
            )
        return tracked

    def breaker_opened(self, scope: str, reason: str) -> None:
        """Pause what takes something away in a scope; on the event loop."""
        for tracked in list(self._open.values()):
            if tracked.is_in(scope):
                self._step(tracked, BreakerOpened(scope, reason))

    def breaker_closed(self, scope: str) -> None:
        """Let it go on."""
        for tracked in list(self._open.values()):
            self._step(tracked, BreakerClosed(scope))

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

    def handing(self, site: str, account_id: str) -> Handing:
        """How the account's target is handed to the site now."""
        target = self._targets[site].get(account_id)
        if target is None:
            return Handing(withheld=True, final=False)
        held = self.sites[site].held.get(account_id)
        by = self._open.get(target.rollout_id)
        for other in self._order.get(account_id, ()):
            if other is not by and _is_open_at(other.rollout, site, held):
                # Its gate is being asked just now: a change on top of it waits for the answer, no longer.
                return Handing(withheld=True, final=False)
        if by is None:
            return Handing()
        rollout, final = by.rollout, by.rollout.is_final(site)
        way_back = rollout.course.gated and target.hash == rollout.from_hash
        return Handing(
            lane=rollout.course.lane,
            confirm_within_s=None if final or way_back else rollout.course.confirm_within_s,
            withheld=not way_back and not rollout.may_hand(site),
            final=final and rollout.state is not RolloutState.REVERTING,
        )

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
            rollout = tracked.rollout
            not_yet = rollout.course.gated and site not in rollout.reached
            if held not in rollout.own and not not_yet:
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

    async def intents(
        self, moves: Mapping[str, tuple[ChunkHash | None, ChunkHash]]
    ) -> Mapping[str, tuple[str, ...]]:
        """What was asked for by the change-sets that lie between what a site holds and what it is to have."""

        def read() -> dict[str, tuple[str, ...]]:
            now = datetime.now(UTC)
            with self.store.read() as session:
                return {a: intents_between(session, a, *move, now) for a, move in moves.items()}

        return await asyncio.to_thread(read) if moves else {}

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
        later: set[ChunkHash] = set()
        beside: set[ChunkHash] = set()  # what later ones mean at sites that a staged one has not reached
        for tracked in reversed(list(self._order.get(account_id, ()))):
            rollout = tracked.rollout
            held = follower.held.get(account_id)
            event, reason = judge(
                rollout.own,
                later if rollout.under_way else later | beside,
                account_id,
                follower.view.status,
                held=held,
                known=self._known,
                changed=tracked.footprint,
                foreign=self.is_foreign(site, account_id),
            )
            if event is SiteEvent.LACKING and self._has_put_back(rollout, site, follower.view.status):
                event, reason = SiteEvent.PUT_BACK, "the agent took it back: nobody confirmed it in time"
            later |= rollout.own - set(rollout.course.beside)
            beside |= {ChunkHash(h) for h in rollout.course.beside}
            self._step(tracked, SiteHeard(site, event, reason))

    def _has_put_back(self, rollout: Rollout, site: str, status: SiteStatus) -> bool:
        """Tell whether a site that lacks what it had has taken it back, and not lost its journal."""
        progress = rollout.sites.get(site)
        if progress is None or progress.state not in HANDED or rollout.is_final(site):
            return False
        return status.generation >= self.sites[site].given_at(rollout.account_id)

    def _step(self, tracked: Tracked, event: Event) -> None:
        before = tracked.rollout
        after, commands = step(before, event, self._clock())
        if after == before:
            return
        tracked.rollout = after
        self._acts += [(tracked, command) for command in commands]
        aside = tuple(
            site
            for site, progress in after.sites.items()
            if progress.state is SiteState.PUT_BACK and before.sites[site].state is not SiteState.PUT_BACK
        )
        if aside and after.state is RolloutState.PAUSED:
            self._acts.append((tracked, PutAside(aside)))
        self._unsaved[after.id] = tracked
        self._to_save.set()
        self._moved(tracked, before)
        if after.quiet:
            self._forget(tracked)

    def _moved(self, tracked: Tracked, before: Rollout) -> None:
        """Wake whoever waits for a roll-out in its new state."""
        after = tracked.rollout
        if after.deadline != before.deadline:
            self._deadline_moved.set()
        if after.wants_look:
            self._looker.wake()
        if before.state is RolloutState.PAUSED and after.state is not before.state:
            for site in after.reached:
                if site in self.sites:
                    self.sites[site].look_at(after.account_id)
        came_to_rest = after.state is not before.state and after.state in OVER | {RolloutState.WAITING}
        if came_to_rest or (before.under_way and not after.under_way):
            self._to_admit = True  # what waited behind it need not any more, once this is written down

    def _go_on_with(self, tracked: Tracked) -> None:
        """Take up a roll-out as it is on disk."""
        rollout = tracked.rollout
        for change_set in rollout.course.reverted_by:
            self._reverting[change_set] = tracked
        if rollout.state is RolloutState.REVERTING:
            if not rollout.course.reverted_by:
                self._acts.append((tracked, Revert(rollout.reached, rollout.course.why)))
                self._to_save.set()
            self._revert_moved.set()

    def _do(self, done: Done) -> None:
        """Do in memory what is on disk now; sites follow from that."""
        tracked = self._open.get(done.rollout_id)
        match done.act:
            case Deliver(sites) | PutAside(sites):
                if tracked is not None:
                    tracked.began = self._clock()
                    self._aim(tracked.rollout, sites, done.hash)
                    for site in sites:
                        self._judge(site, tracked.rollout.account_id)
            case Confirm(sites):
                for site in sites:
                    if site in self.sites:
                        self.sites[site].look_at(done.account_id)
            case Revert() if tracked is not None and done.reverting is not None:
                self._going_back(tracked, done.reverting)
            case Conclude(outcome, reason):
                log.info("roll-out over", rollout=done.rollout_id, outcome=outcome.value, reason=reason)
            case _:
                pass

    def _going_back(self, tracked: Tracked, reverting: reverts.Reverting) -> None:
        tracked.rollout = reverted_by(tracked.rollout, reverting)
        for change_set in reverting.change_sets:
            self._reverting[change_set] = tracked
        if reverting.begun is not None:
            self._began(reverting.begun)
        if reverting.waits:
            self._queue_grew.set()
        if reverting.why or not reverting.change_sets:
            self._step(tracked, RevertEnded(not reverting.why, reverting.why))
        self._revert_moved.set()

    async def _watch_reverts(self) -> NoReturn:
        while True:
            self._revert_moved.clear()
            waiting = {t.rollout.id: t for t in self._reverting.values()}
            for tracked in waiting.values():
                ended = await asyncio.to_thread(self._end_of, tracked.rollout.course.reverted_by)
                if ended is not None:
                    crash_point("revert-over")
                    for change_set in tracked.rollout.course.reverted_by:
                        self._reverting.pop(change_set, None)
                    self._step(tracked, RevertEnded(*ended))
            with contextlib.suppress(TimeoutError):
                # Somebody may decide about a half that is held without telling us.
                async with asyncio.timeout(REVERTS_LOOKED_AT_S if self._reverting else None):
                    await self._revert_moved.wait()

    def _end_of(self, change_sets: Sequence[str]) -> tuple[bool, str] | None:
        with self.store.read() as session:
            return reverts.end_of(session, change_sets)

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
                    if tracked.rollout.state is RolloutState.BAKING:
                        crash_point("bake-over")
                    self._step(tracked, DeadlinePassed())
            ahead = [t.rollout.deadline for t in self._open.values() if t.rollout.deadline is not None]
            if self._note_bakes():
                ahead.append(self._clock() + BAKES_NOTED_S)
            timeout = max(0.0, min(ahead) - self._clock()) if ahead else None
            try:
                async with asyncio.timeout(timeout):  # wait_for may swallow a cancellation (CPython 3.11)
                    await self._deadline_moved.wait()
            except TimeoutError:
                continue

    def _note_bakes(self) -> bool:
        """Write down what is left of bakes, so that a crash makes none of them much longer."""
        baking = [t for t in self._open.values() if t.rollout.state is RolloutState.BAKING]
        for tracked in baking:
            self._unsaved[tracked.rollout.id] = tracked
            self._to_save.set()
        return bool(baking)

    # -- the record ---------------------------------------------------------------------------------

    def _load(self) -> None:
        with self.store.write() as session:
            records.join_sites(session, self.sites)
            self._known.update(records.known_chunks(session))
            for site in self.sites:
                self._targets[site] = records.targets(session, site)
            self.conflicts.load(session, self._targets)
            for tracked in records.load_open(session, self._clock()):
                self._track(tracked)

    async def _record_for_ever(self) -> NoReturn:
        while True:
            await self._to_save.wait()
            await self._record()

    async def _record(self) -> None:
        async with self._writing:
            self._to_save.clear()
            batch, self._unsaved = self._unsaved, {}
            acts, self._acts = self._acts, []
            settled = self.conflicts.take_settled()
            if not batch and not settled and not acts:
                return
            rollouts = {id_: tracked.rollout for id_, tracked in batch.items()}
            wanted = [(tracked.rollout, act) for tracked, act in acts]
            done: list[Done] | None = None
            try:
                done = await asyncio.to_thread(self._save, rollouts, wanted, settled)
            finally:
                if done is None:  # nothing is lost: newer states win, and it is tried again
                    self._unsaved = batch | self._unsaved
                    self._acts = acts + self._acts
                    self.conflicts.put_back(settled)
                    self._to_save.set()
            if self._to_admit:
                self._to_admit = False
                self._queue_grew.set()
            for one in done:
                crash_point(f"{type(one.act).__name__.lower()}-written")
                self._do(one)
        for rollout in rollouts.values():
            self._announce(rollout.change_set_id, rollout.account_id)

    def _save(
        self,
        rollouts: Mapping[str, Rollout],
        acts: Sequence[tuple[Rollout, Act]],
        settled: Iterable[Settled],
    ) -> list[Done]:
        with self.store.write() as session:
            done = carry_out(session, rollouts, acts, self._clock())
            for one in done:
                crash_point(f"{type(one.act).__name__.lower()}-unwritten")
            for site, account_id, generation in settled:
                records.forget_conflict(session, site, account_id, generation)
        return done

    def _announce(self, change_set_id: str, account_id: str) -> None:
        if change_set_id in self._reverting:
            self._revert_moved.set()
        for event in self._watchers.get(change_set_id, ()):
            event.set()
        for callback in self._changed:
            callback(account_id)


BAKES_NOTED_S = 5.0
"""Seconds between two notes of what is left of a bake."""

REVERTS_LOOKED_AT_S = 2.0
"""Seconds between two looks at the change-sets that take a roll-out back."""


def _is_open_at(rollout: Rollout, site: str, held: ChunkHash | None) -> bool:
    """Tell whether a site holds what a roll-out brought, and is not to keep it yet."""
    progress = rollout.sites.get(site)
    if progress is None or rollout.is_final(site) or not rollout.under_way:
        return False
    return rollout.state is not RolloutState.REVERTING and site in rollout.reached and held in rollout.own


_ANY = ChunkHash("")
"""A target that no site holds: asks only whether what is held is known."""
