"""What a roll-out asks of those who look: is this wave sound? (pure types; the looking is elsewhere)"""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from controller.bgp import Prefix
from controller.rollout.delivery import Footprint

GateOutcome = Literal["pass", "fail", "inconclusive", "error"]


class GateQuestion(msgspec.Struct, frozen=True):
    """A wave that all its sites have in effect: ``changed`` are those sites, ``unchanged`` the control.

    ``began``: monotonic seconds at which the first of them was handed the change. ``unasked``: prefixes of it
    whose withdrawal no valid intent covers: such a one is held while it carries traffic at the site.
    """

    rollout_id: str
    account_id: str
    wave: int
    changed: tuple[str, ...]
    unchanged: tuple[str, ...]
    footprint: Footprint
    subtractive: bool
    began: float
    unasked: tuple[Prefix, ...] = ()


class GateAnswer(msgspec.Struct, frozen=True):
    """``inconclusive``: no data, or observers that disagree; it is asked again until the gate's wait ends."""

    outcome: GateOutcome
    reason: str
    evidence: dict[str, str] = {}


class Gatekeeper(Protocol):
    """Looks at the world around a wave."""

    async def baseline(self, question: GateQuestion) -> GateAnswer:
        """Look before anything is sent: a canary that fails its own baseline is not used."""
        ...

    async def judge(self, question: GateQuestion) -> GateAnswer:
        """Look once, compare with the baseline and with the control; never raises for missing data."""
        ...


class NobodyLooks:
    """The gatekeeper of a controller without observers: agents' own reports must do."""

    async def baseline(self, question: GateQuestion) -> GateAnswer:
        """Answer that there is nothing to compare with."""
        return GateAnswer("pass", f"no observers: wave {question.wave} goes by its agents' reports")

    async def judge(self, question: GateQuestion) -> GateAnswer:
        """As :meth:`baseline`."""
        return await self.baseline(question)
