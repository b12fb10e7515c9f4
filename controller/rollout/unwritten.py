"""What roll-outs have come to and want done, and is not on disk yet. Lives on the driver's event loop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from controller.rollout.acts import Act
from controller.rollout.tracked import Tracked


@dataclass(slots=True)
class Batch:
    """What is written down together.

    ``frees``: change-sets may wait in the queue for what it says.
    """

    rollouts: dict[str, Tracked] = field(default_factory=dict)
    acts: list[tuple[Tracked, Act]] = field(default_factory=list)
    frees: bool = False


class Unwritten:
    """The next batch; ``waits`` is set while somebody wants it written."""

    def __init__(self) -> None:
        self.waits = asyncio.Event()
        self._next = Batch()

    def moved(self, tracked: Tracked, *, frees: bool = False) -> None:
        """Have it written down how far a roll-out is."""
        self._next.rollouts[tracked.rollout.id] = tracked
        self._next.frees |= frees
        self.waits.set()

    def wants(self, tracked: Tracked, act: Act) -> None:
        """Have an act carried out."""
        self._next.acts.append((tracked, act))
        self.waits.set()

    def take(self) -> Batch:
        """Return what is to be written; give it to :meth:`put_back` when that fails."""
        self.waits.clear()
        taken, self._next = self._next, Batch()
        return taken

    def put_back(self, batch: Batch) -> None:
        """Let it be written later, in front of what came meanwhile; of a roll-out the newer state wins."""
        newer = self._next
        self._next = Batch(
            batch.rollouts | newer.rollouts, batch.acts + newer.acts, batch.frees or newer.frees
        )
        self.waits.set()
