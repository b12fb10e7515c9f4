"""Gives events to roll-outs: what they make of them is to be written down, and whoever waits is woken."""

from __future__ import annotations

from collections.abc import Callable

from controller.rollout.acts import PutAside
from controller.rollout.course import Rollout
from controller.rollout.events import Event
from controller.rollout.followed import Followed
from controller.rollout.machine import step
from controller.rollout.states import OVER, RolloutState, SiteState
from controller.rollout.tracked import Tracked
from controller.rollout.unwritten import Unwritten


class Stepper:
    """The one place where a roll-out that is followed changes by an event. On the driver's event loop.

    ``moved(tracked, before)`` is called after each change, before anything of it is on disk.
    """

    def __init__(
        self,
        followed: Followed,
        unwritten: Unwritten,
        clock: Callable[[], float],
        moved: Callable[[Tracked, Rollout], None],
    ) -> None:
        self._followed = followed
        self._unwritten = unwritten
        self._clock = clock
        self._moved = moved

    def would_change(self, tracked: Tracked, event: Event) -> bool:
        """Tell whether the roll-out would make anything of an event now."""
        return step(tracked.rollout, event, self._clock())[0] != tracked.rollout

    def step(self, tracked: Tracked, event: Event) -> None:
        """Give an event to a roll-out."""
        before = tracked.rollout
        after, commands = step(before, event, self._clock())
        if after == before:
            return
        tracked.rollout = after
        for command in commands:
            self._unwritten.wants(tracked, command)
        aside = _put_back_by(before, after)
        if aside and after.state is RolloutState.PAUSED:
            self._unwritten.wants(tracked, PutAside(aside))
        self._unwritten.moved(tracked, frees=_frees(before, after))
        self._moved(tracked, before)
        if after.quiet:
            self._followed.forget(tracked)


def _put_back_by(before: Rollout, after: Rollout) -> tuple[str, ...]:
    """Return the sites of which it became known just now that they have put back by themselves."""
    return tuple(
        site
        for site, progress in after.sites.items()
        if progress.state is SiteState.PUT_BACK and before.sites[site].state is not SiteState.PUT_BACK
    )


def _frees(before: Rollout, after: Rollout) -> bool:
    """Tell whether what waited behind it need not any more, once this is written down."""
    came_to_rest = after.state is not before.state and after.state in OVER | {RolloutState.WAITING}
    return came_to_rest or (before.under_way and not after.under_way)
