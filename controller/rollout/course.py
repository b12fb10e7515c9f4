"""A roll-out as a value: its sites, its waves, how far it is (pure)."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from controller.rollout.events import GateOutcome
from controller.rollout.states import BROKEN, FINISHED, OVER, STOPPED, RolloutState, SiteState
from controller.snapshots.model import ChunkHash


@dataclass(frozen=True, slots=True)
class SiteProgress:
    """One site's state, why (empty when there is nothing to say), and its wave."""

    state: SiteState = SiteState.PENDING
    reason: str = ""
    wave: int = 0


class Looked(msgspec.Struct, frozen=True):
    """What those who look said of a wave: ``baseline`` before it was sent, else its gate."""

    wave: int
    baseline: bool
    outcome: GateOutcome
    reason: str
    evidence: dict[str, str] = {}


class Course(msgspec.Struct, frozen=True):
    """How a roll-out goes, and how far it is: what is kept beside its sites. Times in seconds.

    ``touched``: the sites where it has any effect. ``seen``: the wave's baseline was fit, so it was sent.
    ``passed``: how many waves' gates have passed. ``left``: what is left of the bake; None when there is none
    to wait for. ``pauses``: why it is paused, by cause. ``why``: why it goes back; ``ending`` how that will
    be called. ``reverts``: the roll-out that this one takes back; ``reverted_by``: the change-sets that take
    this one back. ``also``: other chunks that have this change in effect, since a later change was applied on
    both sides of it (``rollout.rebase``); ``beside``: the chunks that it means at sites which an older,
    staged roll-out has not reached. ``were``: chunks that it went from earlier; sites that are away may hold
    them.
    """

    lane: str = "express"
    gated: bool = False
    subtractive: bool = False
    bake_s: float = 0.0
    gate_wait_s: float = 0.0
    confirm_within_s: float | None = None
    control: tuple[str, ...] = ()
    touched: tuple[str, ...] = ()
    seen: bool = False
    passed: int = 0
    left: float | None = None
    pauses: dict[str, str] = {}
    looked: tuple[Looked, ...] = ()
    why: str = ""
    ending: str = ""
    reverts: str = ""
    reverted_by: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    were: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rollout:
    """The move of one account from one chunk to another; ``deadline`` is in seconds of the caller's clock."""

    id: str
    change_set_id: str
    account_id: str
    from_hash: ChunkHash | None
    to_hash: ChunkHash
    sites: dict[str, SiteProgress]
    state: RolloutState = RolloutState.PLANNED
    wave: int = 0
    deadline: float | None = None
    course: Course = field(default_factory=Course)

    @property
    def reason(self) -> str:
        """Say what keeps it, or ended it; site by site where it is sites; empty when nothing does."""
        if not self.sites:
            return "there is no site to bring it to"
        sites = "; ".join(f"{name}: {s.reason}" for name, s in sorted(self.sites.items()) if s.reason)
        if self.course.why:
            return self.course.why
        if self.state is RolloutState.PAUSED:
            return "; ".join(f"paused ({cause}): {why}" for cause, why in sorted(self.course.pauses.items()))
        asked = self.course.looked[-1] if self.course.looked else None
        open_gate = self.state in (RolloutState.GATING, RolloutState.PLANNED) and self.course.gated
        if open_gate and asked is not None and asked.wave == self.wave and asked.outcome != "pass":
            what = "baseline" if asked.baseline else "gate"
            return f"{what} of wave {self.wave}: {asked.outcome}: {asked.reason}"
        return sites

    @property
    def quiet(self) -> bool:
        """Tell whether nothing more can be heard of it that anybody waits for."""
        if self.state in (RolloutState.REVERTED, RolloutState.ABORTED):
            return True
        return self.state in OVER and (
            self.course.gated or all(s.state in FINISHED | BROKEN for s in self.sites.values())
        )

    @property
    def waves(self) -> int:
        """How many waves it takes."""
        return 1 + max((s.wave for s in self.sites.values()), default=0)

    @property
    def reached(self) -> tuple[str, ...]:
        """The sites that were handed it, or may have been: those of the waves that were begun."""
        begun = self.wave + (1 if self.course.seen or not self.course.gated else 0)
        if self.state is RolloutState.PLANNED and not self.course.gated:
            begun = 0
        return tuple(sorted(name for name, s in self.sites.items() if s.wave < begun))

    @property
    def under_way(self) -> bool:
        """Tell whether sites are on both sides of it: some go to what it brings, others are not to yet."""
        return self.course.gated and self.state not in OVER and self.course.passed < self.waves

    @property
    def own(self) -> set[ChunkHash]:
        """The chunks that have it in effect."""
        return {self.to_hash, *map(ChunkHash, (*self.course.also, *self.course.beside))}

    @property
    def wants_look(self) -> bool:
        """Tell whether somebody is to look: at a wave before it is sent, or at one that is in effect."""
        return self.course.gated and self.state in (RolloutState.PLANNED, RolloutState.GATING)

    def may_hand(self, site: str) -> bool:
        """Tell whether a site that asks for it may be given it now."""
        found = self.sites.get(site)
        if found is None or not self.course.gated:
            return self.state is not RolloutState.PAUSED
        return self.state not in STOPPED and found.state is not SiteState.PUT_BACK

    def is_final(self, site: str) -> bool:
        """Tell whether the site keeps it without being told so: the gate of its wave has passed."""
        found = self.sites.get(site)
        return not self.course.gated or found is None or found.wave < self.course.passed
