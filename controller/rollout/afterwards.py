"""Does in memory what is on disk now; what sites are sent follows from that."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from controller.rollout.acts import Done, PutAside
from controller.rollout.begin import Begun
from controller.rollout.events import Conclude, Confirm, Deliver, Revert
from controller.rollout.fleet import Fleet
from controller.rollout.followed import Followed
from controller.rollout.judging import Judge
from controller.rollout.tracked import Tracked, rebased
from controller.rollout.unwritten import Unwritten
from controller.rollout.ways_back import WaysBack

log = structlog.get_logger()


class Afterwards:
    """On the driver's event loop, in the order of the writes.

    ``begun(tracked)``: a roll-out is followed from now on, and what it changed is known.
    """

    def __init__(
        self,
        fleet: Fleet,
        followed: Followed,
        unwritten: Unwritten,
        judge: Judge,
        ways_back: WaysBack,
        *,
        clock: Callable[[], float],
        begun: Callable[[Tracked], None],
    ) -> None:
        self._fleet = fleet
        self._followed = followed
        self._unwritten = unwritten
        self._judge = judge
        self._ways_back = ways_back
        self._clock = clock
        self._begun = begun

    def began(self, begun: Begun) -> None:
        """Follow a roll-out that is on disk; what it changed of others' is so in memory, too."""
        rollout = begun.tracked.rollout
        log.info("roll-out begins", rollout=rollout.id, change_set=rollout.change_set_id,
                 lane=rollout.course.lane, account=rollout.account_id, to=rollout.to_hash[:12])  # fmt: skip
        self._fleet.known |= {rollout.to_hash, *begun.names.values(), *begun.targets.values()}
        for other in self._followed.of(rollout.account_id):
            if other.rollout.course.gated:
                other.rollout = rebased(other.rollout, begun.names)
                self._unwritten.moved(other)
        self._followed.add(begun.tracked)
        for site, hash_ in begun.targets.items():
            self._fleet.aim(rollout, (site,), hash_)
        self._begun(begun.tracked)
        for site in rollout.sites:
            self._judge.judge(site, rollout.account_id)

    def did(self, done: Done) -> None:
        """Follow an act of a roll-out."""
        tracked = self._followed.get(done.rollout_id)
        match done.act:
            case Deliver(sites) | PutAside(sites):
                if tracked is not None:
                    tracked.began = self._clock()
                    self._fleet.aim(tracked.rollout, sites, done.hash)
                    for site in sites:
                        self._judge.judge(site, tracked.rollout.account_id)
            case Confirm(sites):
                self._fleet.look_at(done.account_id, sites)
            case Revert() if tracked is not None and done.reverting is not None:
                begun = self._ways_back.going_back(tracked, done.reverting)
                if begun is not None:
                    self.began(begun)
            case Conclude(outcome, reason):
                log.info("roll-out over", rollout=done.rollout_id, outcome=outcome.value, reason=reason)
            case _:
                pass
