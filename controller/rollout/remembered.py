"""What a controller remembers of a site's journal, and whether the site still has it (pure; SAFETY.md, 7).

A journal that was put back from a backup, or begun anew, may have forgotten what was revoked. A second place
on the site's own machine knows that (``agent.epoch``), unless it was put back, or lost, as well; the
controller's store is a third one, on another disk. Either may be the older: a site with a higher generation
than the store ever gave was commanded by a newer copy of the store (``rollout.conflicts``), and is right.
"""

from __future__ import annotations

import msgspec

from controller.transport.messages import SiteStatus


class Remembered(msgspec.Struct, frozen=True):
    """The journal that a site had: its life, and the highest generation that it acknowledged."""

    epoch: str
    generation: int

    def holds(self, status: SiteStatus) -> bool:
        """Tell whether ``status`` is of this journal or a later state of it, or of one released from it."""
        if status.epoch == self.epoch and status.generation >= self.generation:
            return True
        if status.resumed_from is None:
            return False
        epoch, generation = status.resumed_from
        return epoch == self.epoch and generation >= self.generation


def behind(remembered: Remembered | None, status: SiteStatus, given: int) -> str:
    """Return why the journal of ``status`` is not the one that is remembered; empty when it may be.

    ``remembered`` before the status was asked for; ``given``: the highest generation that this store ever
    gave the site. A journal that was released (signed, at the site) from what is remembered is in order.
    """
    if remembered is None or status.generation > given or remembered.holds(status):
        return ""
    what = (
        f"an older copy of its journal: it is at generation {status.generation}, and had acknowledged "
        f"{remembered.generation}"
        if status.epoch == remembered.epoch
        else f"another journal: it is of the life {status.epoch}, and {remembered.epoch} was there with "
        f"generation {remembered.generation}"
    )
    return (
        f"the site came back with {what}. It goes on as it is and gets nothing new: put the newer journal "
        "back, or release it with what was revoked since (herald revocations list; herald site sign-release "
        "--revoked CIDR; herald site release)"
    )
