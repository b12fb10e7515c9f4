"""Tells roll-outs what sites say of them: by a status, by an answer, by silence (``delivery`` decides)."""

from __future__ import annotations

from collections.abc import Callable

from controller.rollout.course import Rollout
from controller.rollout.delivery import judge
from controller.rollout.events import SiteHeard
from controller.rollout.fleet import Fleet
from controller.rollout.followed import Followed
from controller.rollout.site import SiteFollower
from controller.rollout.states import HANDED, SiteEvent
from controller.rollout.stepping import Stepper
from controller.rollout.unwritten import Unwritten
from controller.snapshots.model import ChunkHash
from controller.transport.messages import SiteStatus


class Judge:
    """Hears the sites' followers (:class:`controller.rollout.site.Ear`). On the driver's event loop."""

    def __init__(
        self,
        fleet: Fleet,
        followed: Followed,
        stepper: Stepper,
        unwritten: Unwritten,
        *,
        also: Callable[[], None] = lambda: None,
    ) -> None:
        """Make it; ``also`` is called after each status: others may wait for what agents say."""
        self._also = also
        self._fleet = fleet
        self._followed = followed
        self._stepper = stepper
        self._unwritten = unwritten

    def heard(self, site: str) -> None:
        """Judge every roll-out that is open by what the site says now."""
        if self._fleet.conflicts.settle(site, self._fleet.sites[site].held, self._fleet.targets(site)):
            self._unwritten.waits.set()
        for account_id in self._followed.accounts():
            self.judge(site, account_id)
        self._also()

    def unreached(self, site: str, reason: str) -> None:
        """Tell every roll-out that waits for the site."""
        for tracked in self._followed.all():
            self._stepper.step(tracked, SiteHeard(site, SiteEvent.UNREACHED, reason))

    def told(self, site: str, account_id: str, event: SiteEvent, reason: str) -> None:
        """Pass on an answer to the account's roll-outs that it is about.

        An earlier roll-out can only get there by way of the newest, so it shares a refusal; one that is in
        the site's journal already does not. An acceptance is judged by what the site holds now.
        """
        if event is SiteEvent.ACCEPTED:
            self.judge(site, account_id)
            return
        held = self._fleet.sites[site].held.get(account_id)
        for tracked in self._followed.of(account_id):
            rollout = tracked.rollout
            not_yet = rollout.course.gated and site not in rollout.reached
            if held not in rollout.own and not not_yet:
                self._stepper.step(tracked, SiteHeard(site, event, reason))

    def judge(self, site: str, account_id: str) -> None:
        """Judge an account's roll-outs, the newest first, by what is known of one site."""
        follower = self._fleet.sites.get(site)
        if follower is None:
            return
        if follower.view.reachable is False:
            for tracked in self._followed.of(account_id):
                self._stepper.step(tracked, SiteHeard(site, SiteEvent.UNREACHED, follower.view.reason))
            return
        if follower.view.status is None:
            return
        if account_id in follower.in_flight:
            return  # its answer will tell more than a status from before it
        later: set[ChunkHash] = set()
        beside: set[ChunkHash] = set()  # what later ones mean at sites that a staged one has not reached
        for tracked in reversed(self._followed.of(account_id)):
            rollout = tracked.rollout
            held = follower.held.get(account_id)
            event, reason = judge(
                rollout.own,
                later if rollout.under_way else later | beside,
                account_id,
                follower.view.status,
                held=held,
                known=self._fleet.known,
                changed=tracked.footprint,
                foreign=self._fleet.conflicts.is_foreign(site, account_id),
            )
            if event is SiteEvent.LACKING and _has_put_back(rollout, follower, follower.view.status):
                event, reason = SiteEvent.PUT_BACK, "the agent took it back: nobody confirmed it in time"
            later |= rollout.own - set(rollout.course.beside)
            beside |= {ChunkHash(h) for h in rollout.course.beside}
            self._stepper.step(tracked, SiteHeard(site, event, reason))


def _has_put_back(rollout: Rollout, follower: SiteFollower, status: SiteStatus) -> bool:
    """Tell whether a site that lacks what it had has taken it back, and not lost its journal."""
    progress = rollout.sites.get(follower.site)
    if progress is None or progress.state not in HANDED or rollout.is_final(follower.site):
        return False
    return status.generation >= follower.given_at(rollout.account_id)
