"""What people wish of roll-outs, and what the breaker makes of them."""

from __future__ import annotations

from controller.rollout.errors import RolloutOverError, UnknownRolloutError
from controller.rollout.events import Aborted, BreakerClosed, BreakerOpened, Paused, Resumed
from controller.rollout.followed import Followed
from controller.rollout.stepping import Stepper
from controller.rollout.tracked import Tracked

Wish = Paused | Resumed | Aborted
"""What people want of a roll-out."""


class Wishes:
    """On the driver's event loop, but for :meth:`check`."""

    def __init__(self, followed: Followed, stepper: Stepper) -> None:
        self._followed = followed
        self._stepper = stepper

    def wish(self, rollout_id: str, event: Wish) -> None:
        """Give a person's wish to a roll-out; raises as :meth:`check`."""
        self._stepper.step(self.check(rollout_id, event), event)

    def check(self, rollout_id: str, event: Wish) -> Tracked:
        """Return the roll-out that a wish would change.

        Raises :class:`UnknownRolloutError`, or :class:`RolloutOverError` when it would change nothing.
        """
        tracked = self._followed.get(rollout_id)
        if tracked is None:
            raise UnknownRolloutError(f"no roll-out {rollout_id} is under way: see herald rollouts list")
        rollout = tracked.rollout
        newer = [t.rollout.id for t in self._followed.of(rollout.account_id) if t.seq > tracked.seq]
        if isinstance(event, Aborted) and newer and not rollout.under_way:
            raise RolloutOverError(
                f"roll-out {rollout_id} is everywhere, and {newer[0]} stands on it: see herald rollback"
            )
        if not self._stepper.would_change(tracked, event):
            raise RolloutOverError(
                f"roll-out {rollout_id} is {rollout.state.value}, and that changes nothing of it"
                + (f": {rollout.reason}" if rollout.reason else "")
            )
        return tracked

    def breaker_opened(self, scope: str, reason: str) -> None:
        """Pause what takes something away in a scope."""
        for tracked in self._followed.all():
            if tracked.is_in(scope):
                self._stepper.step(tracked, BreakerOpened(scope, reason))

    def breaker_closed(self, scope: str) -> None:
        """Let it go on."""
        for tracked in self._followed.all():
            self._stepper.step(tracked, BreakerClosed(scope))
