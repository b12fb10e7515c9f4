"""What happens to a roll-out, and what it wants done (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from controller.rollout.states import RolloutState, SiteEvent

GateOutcome = Literal["pass", "fail", "inconclusive", "error"]


@dataclass(frozen=True, slots=True)
class Started:
    """The roll-out was admitted."""


@dataclass(frozen=True, slots=True)
class SiteHeard:
    """Something was heard from, or of, a site."""

    site: str
    event: SiteEvent
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    """The time in :attr:`Rollout.deadline` has come."""


@dataclass(frozen=True, slots=True)
class BaselineLooked:
    """Those who look have looked at a wave's sites before it is sent."""

    wave: int
    outcome: GateOutcome
    reason: str
    evidence: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Replanned:
    """Other sites go first, since one that was to is not fit for it. Only before anything is sent."""

    waves: tuple[tuple[str, ...], ...]
    control: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GateAnswered:
    """Those who look have answered for a wave that is in effect."""

    wave: int
    outcome: GateOutcome
    reason: str
    evidence: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Paused:
    """Somebody (``operator``) or something (``breaker``) wants it to stand still."""

    cause: str
    reason: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """It may go on, as far as this cause is concerned; a person (``operator``) also ends the gate's own.

    ``vouch``: the person has looked where observers could not, and stands for the gate of this wave.
    """

    cause: str
    reason: str = ""
    vouch: bool = False


@dataclass(frozen=True, slots=True)
class Aborted:
    """A person wants it gone: what was reached goes back."""

    reason: str


@dataclass(frozen=True, slots=True)
class BreakerOpened:
    """The breaker has opened for a scope that this roll-out is in."""

    scope: str
    reason: str


@dataclass(frozen=True, slots=True)
class BreakerClosed:
    """The breaker has been closed for that scope."""

    scope: str


@dataclass(frozen=True, slots=True)
class RevertEnded:
    """The roll-outs that take it back are over; ``ok``: every site that was reached is back."""

    ok: bool
    reason: str = ""


Event = (
    Started
    | SiteHeard
    | DeadlinePassed
    | BaselineLooked
    | Replanned
    | GateAnswered
    | Paused
    | Resumed
    | Aborted
    | BreakerOpened
    | BreakerClosed
    | RevertEnded
)


@dataclass(frozen=True, slots=True)
class Deliver:
    """These sites are to have the new chunk from now on."""

    sites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Confirm:
    """These sites keep it: the gate of their wave has passed."""

    sites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Revert:
    """These sites are to go back to what was before, by a roll-out of its own."""

    sites: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Conclude:
    """The change-set is over, with this outcome."""

    outcome: RolloutState
    reason: str


Command = Deliver | Confirm | Revert | Conclude
