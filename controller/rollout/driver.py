"""Puts together what moves roll-outs: admission, the sites' followers, the record, and what runs beside them.

All state that matters is in the database before anything is sent: after a crash the driver reads it again
and goes on. Everything here runs on one event loop; the database is used from worker threads. A change goes
round like this: ``admitting`` begins a roll-out → ``afterwards`` aims sites at it → ``site`` delivers, and
hears → ``judging`` gives the roll-out events → ``stepping`` notes what it makes of them → ``recorder`` writes
that down → ``afterwards`` does what it wants.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Container, Mapping
from typing import NoReturn

import structlog

from controller.addressing.registry import RegistryIssuer
from controller.guard.admission import Guard
from controller.rollout import records
from controller.rollout.admission import Admission
from controller.rollout.admitting import Admitter
from controller.rollout.afterwards import Afterwards
from controller.rollout.book import SiteBook
from controller.rollout.breaker_watch import BreakerWatch
from controller.rollout.conflicts import Conflicts
from controller.rollout.course import Rollout
from controller.rollout.deadlines import Deadlines
from controller.rollout.draining import Draining
from controller.rollout.events import SiteHeard
from controller.rollout.fleet import Fleet
from controller.rollout.followed import Followed
from controller.rollout.gatekeeper import Gatekeeper, NobodyLooks
from controller.rollout.judging import Judge
from controller.rollout.listeners import Listeners
from controller.rollout.looking import Looker
from controller.rollout.recorder import Recorder
from controller.rollout.site import SiteFollower
from controller.rollout.site_journals import SiteJournals
from controller.rollout.states import RolloutState, SiteEvent
from controller.rollout.stepping import Stepper
from controller.rollout.supervise import keep_running
from controller.rollout.tracked import Target, Terms, Tracked
from controller.rollout.unwritten import Unwritten
from controller.rollout.ways_back import WaysBack
from controller.rollout.wishes import Wish, Wishes
from controller.safety.policy import Policy
from controller.store import Store
from controller.transport.protocol import SiteLink

log = structlog.get_logger()


class Driver:
    """The roll-outs of one controller. Make it, :meth:`start` it on an event loop, then :meth:`run`.

    ``guard`` judges change-sets; None: one of ``policy`` without a key, so that whatever takes something away
    is held. ``policy`` None: the guard's, or production's. ``registry`` issues what goes with commands; None:
    nothing does.
    """

    def __init__(
        self,
        store: Store,
        links: Mapping[str, SiteLink],
        *,
        policy: Policy | None = None,
        gatekeeper: Gatekeeper | None = None,
        guard: Guard | None = None,
        registry: RegistryIssuer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.store = store
        self.registry = registry
        self.guard = guard or Guard(policy)
        self.policy = policy or self.guard.policy
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listeners = Listeners()
        self._followed = Followed()
        unwritten = Unwritten()
        self._fleet = fleet = Fleet(store, unwritten)
        self._stepper = stepper = Stepper(self._followed, unwritten, clock, self._moved)
        self._deadlines = Deadlines(self._followed, unwritten, stepper, clock)
        self._wishes = Wishes(self._followed, stepper)
        self.draining = Draining(store, fleet.sites, lambda: self.fence)
        self._looker = Looker(
            gatekeeper or NobodyLooks(),
            self._followed.all,
            stepper.step,
            self.terms,
            self.draining.hides,
        )
        self.breaker = BreakerWatch(store, self.policy, self.breaker_opened, self.breaker_closed)
        self._book = SiteBook(store, fleet, self._followed, tell=self._listeners.tell, registry=registry)
        judge = Judge(fleet, self._followed, stepper, unwritten, also=self.draining.heard)
        for site, link in links.items():
            fleet.sites[site] = SiteFollower(site, link, self._book, judge)
        writing = asyncio.Lock()  # what is written, and what follows from it in memory, in one order
        self._admitter = Admitter(
            store, fleet, self.guard, writing, clock, terms=self.terms, admitted=self._admitted
        )
        self._ways_back = WaysBack(store, unwritten, stepper, queued=self._admitter.grew)
        self._listeners.on_written(lambda change_set_id, _: self._ways_back.written(change_set_id))
        self._afterwards = Afterwards(
            fleet, self._followed, unwritten, judge, self._ways_back, clock=clock, begun=self._begun
        )
        self._recorder = Recorder(
            store,
            unwritten,
            fleet,
            writing,
            clock,
            did=self._afterwards.did,
            freed=self._admitter.grew,
            tell=self._listeners.tell,
        )

    @property
    def sites(self) -> Mapping[str, SiteFollower]:
        """The followers of its sites, by name."""
        return self._fleet.sites

    @property
    def conflicts(self) -> Conflicts:
        """What sites hold by commands that this store never gave."""
        return self._fleet.conflicts

    # -- its life -----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Read back roll-outs, sites' trees and known chunks; whatever was begun goes on from here."""
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._load)
        for tracked in self._followed.all():
            self._ways_back.take_up(tracked)
            for site in tracked.rollout.sites.keys() - self.sites.keys():
                why = f"{site} is not a site of this controller any more: start it with --site {site}=…"
                self._stepper.step(tracked, SiteHeard(site, SiteEvent.UNREACHED, why))

    def _load(self) -> None:
        self.draining.load()
        with self.store.write() as session:
            self._fleet.load(session)
            for tracked in records.load_open(session, self._clock()):
                self._followed.add(tracked)

    async def run(self) -> NoReturn:
        """Do everything for ever; cancel it to stop (nothing is withdrawn, everything is on disk)."""
        async with asyncio.TaskGroup() as group:
            group.create_task(keep_running("admission", self._admitter.run))
            group.create_task(keep_running("recorder", self._recorder.run))
            group.create_task(keep_running("deadlines", self._deadlines.run))
            group.create_task(keep_running("gates", self._looker.run))
            group.create_task(keep_running("breaker", self.breaker.run))
            group.create_task(keep_running("reverts", self._ways_back.run))
            group.create_task(keep_running("drains", self.draining.run))
            for site, follower in self.sites.items():
                group.create_task(keep_running(f"status of {site}", follower.follow))
                group.create_task(keep_running(f"delivery to {site}", follower.deliver))
        raise AssertionError("tasks that never end have ended")

    async def close(self) -> None:
        """Write down what is not written yet, and let go of the agents."""
        await self._recorder.record()
        for follower in self.sites.values():
            await follower.link.close()

    # -- leading ------------------------------------------------------------------------------------

    def highest_fence(self) -> int:
        """Return the highest fence that a site tells of."""
        return max((f.view.status.fence for f in self.sites.values() if f.view.status), default=0)

    @property
    def journals(self) -> SiteJournals:
        """What is remembered of sites' journals."""
        return self._fleet.journals

    @property
    def fence(self) -> int:
        """The token by which this controller leads; 0 when nobody asked for a lease."""
        return self._book.fence

    def lead_by(self, fence: int) -> None:
        """Command by another fence from now on."""
        self._book.fence = fence

    # -- what is told to it, and asked of it -----------------------------------------------------------

    def change_set_queued(self, change_set_id: str) -> None:
        """Wake the admission; may be called from any thread, once the write has been committed."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._admitter.grew)

    async def wish(self, rollout_id: str, event: Wish) -> None:
        """Give a person's wish to a roll-out, and write down what it makes of it; raises as :meth:`check`."""
        self._wishes.wish(rollout_id, event)
        await self._recorder.record()

    def check(self, rollout_id: str, event: Wish) -> Tracked:
        """Return the roll-out that a wish would change; see :meth:`Wishes.check`."""
        return self._wishes.check(rollout_id, event)

    def breaker_opened(self, scope: str, reason: str) -> None:
        """Pause what takes something away in a scope; on the event loop."""
        self._wishes.breaker_opened(scope, reason)

    def breaker_closed(self, scope: str) -> None:
        """Let it go on."""
        self._wishes.breaker_closed(scope)

    def terms(self) -> Terms:
        """On which terms change-sets become roll-outs now."""
        statuses = {site: f.view.status for site, f in self.sites.items()}
        return Terms(self.policy, {s: "" if t is None else t.speaker for s, t in statuses.items()})

    @property
    def known(self) -> Container[str]:
        """Names of all chunks that this controller ever made."""
        return self._fleet.known

    def targets(self, site: str) -> Mapping[str, Target]:
        """What the site is to have, by account."""
        return self._fleet.targets(site)

    # -- who is told ----------------------------------------------------------------------------------

    def on_change(self, callback: Callable[[str], None]) -> None:
        """Call back with the account's id, on the event loop, when something of it was written down."""
        self._listeners.on_written(lambda _, account_id: callback(account_id))

    def watch(self, change_set_id: str) -> asyncio.Event:
        """Return an event that is set when something is written down about a change-set."""
        return self._listeners.watch(change_set_id)

    def unwatch(self, change_set_id: str, event: asyncio.Event) -> None:
        """End :meth:`watch`."""
        self._listeners.unwatch(change_set_id, event)

    def release(self) -> None:
        """Wake everybody who watches, for good: the process is about to end."""
        self._listeners.release()

    @property
    def ending(self) -> bool:
        """Whether it has been told to :meth:`release`."""
        return self._listeners.ending

    # -- what follows from what -----------------------------------------------------------------------

    def _admitted(self, admission: Admission) -> None:
        if admission.begun is None:
            log.warning("change-set kept back", change_set=admission.change_set_id, reason=admission.reason)
            self._listeners.tell(admission.change_set_id, admission.account_id)
            self.breaker.moved()
            return
        self._afterwards.began(admission.begun)

    def _begun(self, tracked: Tracked) -> None:
        self._listeners.tell(tracked.rollout.change_set_id, tracked.rollout.account_id)
        self._deadlines.moved()
        self._looker.wake()

    def _moved(self, tracked: Tracked, before: Rollout) -> None:
        """Wake whoever waits for a roll-out in its new state."""
        after = tracked.rollout
        if after.deadline != before.deadline:
            self._deadlines.moved()
        if after.wants_look:
            self._looker.wake()
        if before.state is RolloutState.PAUSED and after.state is not before.state:
            self._fleet.look_at(after.account_id, after.reached)
