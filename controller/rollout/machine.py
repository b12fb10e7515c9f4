"""One roll-out as two literal tables, one of each site and one of the whole (pure).

Events go in with the time, a new :class:`Rollout` and commands come out. Nothing here raises: what comes
late, twice or out of order is an entry of the table. A roll-out goes wave by wave; this version plans one
wave over all sites, and a gate after a wave will be one more event.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from controller.snapshots.model import ChunkHash

PATIENCE_S = 5.0
"""Seconds after which a roll-out that still moves says that it waits, and for whom."""


class SiteState(Enum):
    """How far one site is."""

    PENDING = "pending"  # not handed over yet
    UNREACHABLE = "unreachable"  # nobody answers there
    DELIVERED = "delivered"  # in the agent's journal
    WAITING = "waiting"  # in the journal, and the agent says what it waits for
    CONFIRMED = "confirmed"  # machines and speaker have it
    SUPERSEDED = "superseded"  # the site already has what a later roll-out brought
    CONFLICT = "conflict"  # the site holds something that this controller never made
    REFUSED = "refused"  # the agent said no


class SiteEvent(Enum):
    """What was heard from, or of, one site."""

    ACCEPTED = "accepted"  # receipt: journalled
    CONFLICTED = "conflicted"  # it holds a chunk that we do not know
    REFUSED = "refused"  # receipt: damaged, or outside the envelope
    UNREACHED = "unreached"
    LACKING = "lacking"  # status: without our chunk
    JOURNALLED = "journalled"  # status: with our chunk, on its way
    HELD_UP = "held_up"  # status: with our chunk, and a reason why it waits
    SETTLED = "settled"  # status: with our chunk, in effect
    OVERTAKEN = "overtaken"  # status: with the chunk of a later roll-out


class RolloutState(Enum):
    """How far the whole is."""

    PLANNED = "planned"
    DELIVERING = "delivering"
    CONFIRMING = "confirming"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


class Progress(Enum):
    """What all sites together say after an event; the first that applies, in this order."""

    BROKEN = "broken"  # a site is in conflict, or refused
    OUTSTANDING = "outstanding"  # a site has not been handed it yet
    UNSETTLED = "unsettled"  # all that can be reached have it, some not in effect
    HINDERED = "hindered"  # only sites that wait or cannot be reached are left
    WAVE_COMPLETE = "wave_complete"  # this wave is done, and there is another
    COMPLETE = "complete"
    STARTED = "started"
    DEADLINE = "deadline"


_S, _E = SiteState, SiteEvent
_FROM_NEW = {
    _E.ACCEPTED: _S.DELIVERED,
    _E.CONFLICTED: _S.CONFLICT,
    _E.REFUSED: _S.REFUSED,
    _E.UNREACHED: _S.UNREACHABLE,
    _E.LACKING: _S.PENDING,
    _E.JOURNALLED: _S.DELIVERED,
    _E.HELD_UP: _S.WAITING,
    _E.SETTLED: _S.CONFIRMED,
    _E.OVERTAKEN: _S.SUPERSEDED,
}
SITE_TABLE: dict[SiteState, dict[SiteEvent, SiteState]] = {
    _S.PENDING: _FROM_NEW,
    _S.UNREACHABLE: _FROM_NEW,
    # An agent whose journal was lost says "lacking" after having accepted: it is delivered again.
    _S.DELIVERED: _FROM_NEW,
    # A receipt that comes after the status says less than the status.
    _S.WAITING: _FROM_NEW | {_E.ACCEPTED: _S.WAITING},
    # In effect once is in effect for this roll-out; what happens later is a later roll-out's, or I4's.
    _S.CONFIRMED: dict.fromkeys(_E, _S.CONFIRMED),
    _S.SUPERSEDED: dict.fromkeys(_E, _S.SUPERSEDED),
    # The reason stays visible while the site is away; a person may put it right at the site.
    _S.CONFLICT: _FROM_NEW | {_E.UNREACHED: _S.CONFLICT},
    # "Lacking" is what a site that refused goes on saying.
    _S.REFUSED: _FROM_NEW | {_E.UNREACHED: _S.REFUSED, _E.LACKING: _S.REFUSED},
}

_R, _P = RolloutState, Progress
_UNDER_WAY = {
    _P.STARTED: _R.DELIVERING,
    _P.BROKEN: _R.FAILED,
    _P.OUTSTANDING: _R.DELIVERING,
    _P.UNSETTLED: _R.CONFIRMING,
    _P.HINDERED: _R.WAITING,
    _P.WAVE_COMPLETE: _R.DELIVERING,
    _P.COMPLETE: _R.DONE,
    _P.DEADLINE: _R.WAITING,
}
ROLLOUT_TABLE: dict[RolloutState, dict[Progress, RolloutState]] = {
    # Before its start a roll-out hears of sites, too; only its start moves it.
    _R.PLANNED: dict.fromkeys(_P, _R.PLANNED) | {_P.STARTED: _R.DELIVERING},
    _R.DELIVERING: _UNDER_WAY,
    _R.CONFIRMING: _UNDER_WAY | {_P.STARTED: _R.CONFIRMING},
    _R.WAITING: _UNDER_WAY | {_P.STARTED: _R.WAITING},
    _R.DONE: dict.fromkeys(_P, _R.DONE),
    # Somebody was told that it failed: it does not turn into a success behind his back.
    _R.FAILED: dict.fromkeys(_P, _R.FAILED),
}

FINISHED = frozenset({_S.CONFIRMED, _S.SUPERSEDED})
BROKEN = frozenset({_S.CONFLICT, _S.REFUSED})
HINDERED = frozenset({_S.WAITING, _S.UNREACHABLE})
OVER = frozenset({_R.DONE, _R.FAILED})


@dataclass(frozen=True, slots=True)
class SiteProgress:
    """One site's state, why (empty when there is nothing to say), and its wave."""

    state: SiteState = SiteState.PENDING
    reason: str = ""
    wave: int = 0


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

    @property
    def reason(self) -> str:
        """Say what keeps it, site by site; empty when nothing does."""
        if not self.sites:
            return "there is no site to bring it to"
        return "; ".join(f"{name}: {s.reason}" for name, s in sorted(self.sites.items()) if s.reason)

    @property
    def quiet(self) -> bool:
        """Tell whether nothing more can be heard of it that anybody waits for."""
        return self.state in OVER and all(s.state in FINISHED | BROKEN for s in self.sites.values())


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


Event = Started | SiteHeard | DeadlinePassed


@dataclass(frozen=True, slots=True)
class Deliver:
    """These sites are to have the new chunk from now on."""

    sites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conclude:
    """The change-set is over, with this outcome."""

    outcome: RolloutState
    reason: str


Command = Deliver | Conclude


def plan(
    id_: str,
    change_set_id: str,
    account_id: str,
    from_hash: ChunkHash | None,
    to_hash: ChunkHash,
    *,
    waves: tuple[tuple[str, ...], ...],
) -> Rollout:
    """Return a roll-out that has not started; ``waves`` are disjoint sets of sites, in order."""
    sites = {site: SiteProgress(wave=n) for n, wave in enumerate(waves) for site in wave}
    return Rollout(id_, change_set_id, account_id, from_hash, to_hash, sites)


def step(rollout: Rollout, event: Event, now: float) -> tuple[Rollout, tuple[Command, ...]]:
    """Return the roll-out after ``event``, and what is to be done; an unchanged one says nothing new.

    ``now`` is in seconds of any steady clock.
    """
    match event:
        case Started():
            after, commands = _advance(rollout, Progress.STARTED, now)
            if rollout.state is RolloutState.PLANNED:
                commands = (Deliver(_wave(after, after.wave)), *commands)
            return _settle(after, commands, now)
        case DeadlinePassed():
            return _advance(replace(rollout, deadline=None), Progress.DEADLINE, now)
        case SiteHeard(site, what, reason):
            old = rollout.sites.get(site)
            if old is None:  # a site that the plan does not know: it was added later
                return rollout, ()
            state = SITE_TABLE[old.state][what]
            told = _reason(old, state, what, reason)
            if (state, told) == (old.state, old.reason):
                return rollout, ()
            sites = rollout.sites | {site: replace(old, state=state, reason=told)}
            return _settle(replace(rollout, sites=sites), (), now)


def progress(rollout: Rollout) -> Progress:
    """Return what the sites of the waves begun so far say together."""
    states = {s.state for s in rollout.sites.values() if s.wave <= rollout.wave}
    if states & BROKEN:
        return Progress.BROKEN
    if SiteState.PENDING in states:
        return Progress.OUTSTANDING
    if SiteState.DELIVERED in states:
        return Progress.UNSETTLED
    if states & HINDERED:
        return Progress.HINDERED
    if any(s.wave > rollout.wave for s in rollout.sites.values()):
        return Progress.WAVE_COMPLETE
    return Progress.COMPLETE


def _settle(
    rollout: Rollout, commands: tuple[Command, ...], now: float
) -> tuple[Rollout, tuple[Command, ...]]:
    found = progress(rollout)
    after, more = _advance(rollout, found, now)
    if found is Progress.WAVE_COMPLETE and after.state is RolloutState.DELIVERING:
        after = replace(after, wave=after.wave + 1)
        return _settle(after, (*commands, Deliver(_wave(after, after.wave)), *more), now)
    return after, (*commands, *more)


def _advance(rollout: Rollout, event: Progress, now: float) -> tuple[Rollout, tuple[Command, ...]]:
    state = ROLLOUT_TABLE[rollout.state][event]
    if state in OVER and rollout.state not in OVER:
        return replace(rollout, state=state, deadline=None), (Conclude(state, rollout.reason),)
    starts = rollout.state is RolloutState.PLANNED and state is RolloutState.DELIVERING
    return replace(rollout, state=state, deadline=now + PATIENCE_S if starts else rollout.deadline), ()


def _wave(rollout: Rollout, number: int) -> tuple[str, ...]:
    return tuple(sorted(name for name, s in rollout.sites.items() if s.wave == number))


def _reason(old: SiteProgress, state: SiteState, event: SiteEvent, reason: str) -> str:
    """Keep the reason of a state that an event did not change and has nothing to say about."""
    if state in FINISHED and old.state in FINISHED:
        return old.reason
    if state is old.state and state in BROKEN | {SiteState.WAITING} and not reason:
        return old.reason
    if state in BROKEN and event in (SiteEvent.UNREACHED, SiteEvent.LACKING):
        return old.reason
    return reason
