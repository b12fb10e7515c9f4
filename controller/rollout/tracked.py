"""What the driver keeps of a roll-out that it follows, and of a site's target (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from controller.rollout.course import Rollout
from controller.rollout.delivery import Footprint
from controller.safety.policy import Policy
from controller.snapshots.model import ChunkHash


@dataclass(frozen=True, slots=True)
class Target:
    """What one site is to have of one account, and by which roll-out."""

    hash: ChunkHash
    rollout_id: str


@dataclass(slots=True)
class Tracked:
    """A roll-out that is followed, with what it changes and its place in the order.

    ``began``: when the sites of its wave were handed it, in seconds of the driver's clock.
    """

    seq: int
    rollout: Rollout
    footprint: Footprint
    began: float = 0.0
    actor: str = ""

    def is_in(self, scope: str) -> bool:
        """Tell whether the roll-out is in a breaker's scope; of a class of change it may always be."""
        kind, _, name = scope.partition(":")
        if kind == "account":
            return self.rollout.account_id == name
        return self.actor == name if kind == "actor" else True


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms change-sets become roll-outs. ``kinds``: by site what makes it unlike others."""

    policy: Policy = field(default_factory=Policy)
    kinds: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bench:
    """Where and when change-sets become roll-outs; ``now`` as in :func:`controller.rollout.machine.step`.

    ``gone``: since when what a change-set withdrew is gone, for the second halves that wait for it.
    """

    sites: Sequence[str]
    now: float
    terms: Terms = field(default_factory=Terms)
    gone: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Handing:
    """How one account's target is handed to one site.

    ``withheld``: not now. ``confirm_within_s``: the agent takes it back unless it is told in time that it is
    final. ``final``: it may be told so.
    """

    lane: str = "express"
    confirm_within_s: float | None = None
    withheld: bool = False
    final: bool = True


@dataclass(frozen=True, slots=True)
class Behind:
    """The change-set waits in the queue for a roll-out of its account; ``why`` says for which, and why."""

    why: str


def rebased(rollout: Rollout, names: Mapping[ChunkHash | None, ChunkHash]) -> Rollout:
    """Return a gated roll-out after a change was applied on both sides; ``names``: old chunk → new one."""
    new = names.get(rollout.to_hash, rollout.to_hash)
    also = rollout.course.also
    if new != rollout.to_hash and rollout.to_hash not in also:
        also = (*also, rollout.to_hash)
    old, were = rollout.from_hash, rollout.course.were
    if old is not None and names.get(old, old) != old and old not in were:
        were = (*were, old)
    return Rollout(
        rollout.id,
        rollout.change_set_id,
        rollout.account_id,
        names.get(rollout.from_hash, rollout.from_hash),
        new,
        rollout.sites,
        state=rollout.state,
        wave=rollout.wave,
        deadline=rollout.deadline,
        course=msgspec.structs.replace(rollout.course, also=also, were=were),
    )
