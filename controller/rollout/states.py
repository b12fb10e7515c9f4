"""A roll-out's two literal tables: of each site, and of the whole (pure).

``SITE_TABLE`` and ``ROLLOUT_TABLE`` have an entry for every pair: what comes late, twice or out of order is
one of them, and nothing raises. ``machine`` turns events into what the tables read.
"""

from __future__ import annotations

from enum import Enum


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
    PUT_BACK = "put_back"  # nobody said in time that it is final, so the agent took it back


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
    PUT_BACK = "put_back"  # status: it had our chunk, and has what was before again


class RolloutState(Enum):
    """How far the whole is."""

    PLANNED = "planned"  # a wave is chosen, and looked at before anything is sent
    DELIVERING = "delivering"
    CONFIRMING = "confirming"
    WAITING = "waiting"  # only sites that wait or cannot be reached are left
    GATING = "gating"  # the wave is in effect: is it sound?
    BAKING = "baking"  # it is; time shows the rest
    PAUSED = "paused"  # nothing more is handed over, by somebody's or something's wish
    REVERTING = "reverting"  # the sites that were reached go back, by a roll-out of its own
    DONE = "done"
    FAILED = "failed"
    REVERTED = "reverted"
    ABORTED = "aborted"


class Progress(Enum):
    """What the whole's table reads. The first ten are what all sites together say; the first that applies."""

    BROKEN = "broken"  # a site is in conflict, or refused, and no gate is to come any more
    REJECTED = "rejected"  # gated: a site of the wave is in conflict, refused, or put back
    UNSEEN = "unseen"  # gated: the wave's sites have not been looked at yet
    OUTSTANDING = "outstanding"  # a site has not been handed it yet
    UNSETTLED = "unsettled"  # all that can be reached have it, some not in effect
    IN_EFFECT = "in_effect"  # gated: the wave is in effect wherever it can be reached, its gate is open
    UNBAKED = "unbaked"  # gated: the wave's gate has passed, its bake has not ended
    HINDERED = "hindered"  # only sites that wait or cannot be reached are left
    WAVE_COMPLETE = "wave_complete"  # this wave is done, and there is another
    COMPLETE = "complete"
    STARTED = "started"
    DEADLINE = "deadline"
    FIT = "fit"  # the baseline of the wave's sites is as it should be
    GATE_PASSED = "gate_passed"
    GATE_FAILED = "gate_failed"
    GATE_UNCLEAR = "gate_unclear"  # inconclusive, or an error: it is asked again
    GATE_SILENT = "gate_silent"  # unclear to the end of its wait, and something is taken away
    BAKED = "baked"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    REVERTED = "reverted"  # every site that was reached is back
    ABORTED = "aborted"  # the same, after somebody asked for it
    REVERT_FAILED = "revert_failed"


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
    _E.PUT_BACK: _S.PUT_BACK,
}
SITE_TABLE: dict[SiteState, dict[SiteEvent, SiteState]] = {
    # It cannot put back what it never had.
    _S.PENDING: _FROM_NEW | {_E.PUT_BACK: _S.PENDING},
    _S.UNREACHABLE: _FROM_NEW,
    # An agent whose journal was lost says "lacking" after having accepted: it is delivered again.
    _S.DELIVERED: _FROM_NEW,
    # A receipt that comes after the status says less than the status.
    _S.WAITING: _FROM_NEW | {_E.ACCEPTED: _S.WAITING},
    # In effect once is in effect for this roll-out; what happens later is a later roll-out's, or I4's. Only
    # the agent's own putting back, which the controller did not stop in time, takes it away again.
    _S.CONFIRMED: dict.fromkeys(_E, _S.CONFIRMED) | {_E.PUT_BACK: _S.PUT_BACK},
    _S.SUPERSEDED: dict.fromkeys(_E, _S.SUPERSEDED),
    # The reason stays visible while the site is away; a person may put it right at the site.
    _S.CONFLICT: _FROM_NEW | {_E.UNREACHED: _S.CONFLICT},
    # "Lacking" is what a site that refused goes on saying.
    _S.REFUSED: _FROM_NEW | {_E.UNREACHED: _S.REFUSED, _E.LACKING: _S.REFUSED},
    # It stays until somebody resumes; what the site says meanwhile is that it lacks it.
    _S.PUT_BACK: _FROM_NEW | {_E.UNREACHED: _S.PUT_BACK, _E.LACKING: _S.PUT_BACK},
}

_R, _P = RolloutState, Progress
_STAYS = frozenset({_P.FIT, _P.GATE_PASSED, _P.GATE_FAILED, _P.GATE_UNCLEAR, _P.GATE_SILENT, _P.BAKED,
                    _P.RESUME, _P.REVERTED, _P.ABORTED, _P.REVERT_FAILED})  # fmt: skip
"""What says nothing to a state that did not ask for it: an answer that comes late, a resume of what goes."""


def _under_way(state: RolloutState) -> dict[Progress, RolloutState]:
    return dict.fromkeys(_STAYS, state) | {
        _P.STARTED: state,
        _P.BROKEN: _R.FAILED,
        _P.REJECTED: _R.REVERTING,
        _P.UNSEEN: _R.PLANNED,
        _P.OUTSTANDING: _R.DELIVERING,
        _P.UNSETTLED: _R.CONFIRMING,
        _P.IN_EFFECT: _R.GATING,
        _P.UNBAKED: _R.BAKING,
        _P.HINDERED: _R.WAITING,
        _P.WAVE_COMPLETE: _R.DELIVERING,
        _P.COMPLETE: _R.DONE,
        _P.DEADLINE: _R.WAITING,
        _P.PAUSE: _R.PAUSED,
        _P.ABORT: _R.REVERTING,
    }


ROLLOUT_TABLE: dict[RolloutState, dict[Progress, RolloutState]] = {
    # Before its start, and before a wave's sites were looked at, it hears of sites, too; that moves nothing.
    _R.PLANNED: dict.fromkeys(_P, _R.PLANNED)
    | {
        _P.STARTED: _R.DELIVERING,
        _P.FIT: _R.DELIVERING,
        _P.REJECTED: _R.REVERTING,
        _P.PAUSE: _R.PAUSED,
        _P.GATE_SILENT: _R.PAUSED,
        _P.GATE_FAILED: _R.PAUSED,  # no site is fit to be changed: nothing is wrong with the change
        _P.ABORT: _R.REVERTING,
    },
    _R.DELIVERING: _under_way(_R.DELIVERING),
    _R.CONFIRMING: _under_way(_R.CONFIRMING),
    _R.WAITING: _under_way(_R.WAITING),
    # A site of the wave may lose it again, and then the gate is asked anew once it has it.
    _R.GATING: _under_way(_R.GATING)
    | {
        _P.GATE_PASSED: _R.CONFIRMING,
        _P.GATE_FAILED: _R.REVERTING,
        _P.GATE_SILENT: _R.PAUSED,
        _P.DEADLINE: _R.GATING,
    },
    # What the wave's sites say does not shorten the bake, and one that goes away does not lengthen it.
    _R.BAKING: _under_way(_R.BAKING)
    | {
        _P.OUTSTANDING: _R.BAKING,
        _P.UNSETTLED: _R.BAKING,
        _P.HINDERED: _R.BAKING,
        _P.IN_EFFECT: _R.BAKING,
        _P.BAKED: _R.DELIVERING,
        _P.DEADLINE: _R.BAKING,
    },
    # Nothing but a person (or the breaker that closes) moves it; a site's refusal shows, and waits as well.
    _R.PAUSED: dict.fromkeys(_P, _R.PAUSED) | {_P.RESUME: _R.DELIVERING, _P.ABORT: _R.REVERTING},
    _R.REVERTING: dict.fromkeys(_P, _R.REVERTING)
    | {_P.REVERTED: _R.REVERTED, _P.ABORTED: _R.ABORTED, _P.REVERT_FAILED: _R.FAILED},
    _R.DONE: dict.fromkeys(_P, _R.DONE),
    # Somebody was told that it failed: it does not turn into a success behind his back.
    _R.FAILED: dict.fromkeys(_P, _R.FAILED),
    _R.REVERTED: dict.fromkeys(_P, _R.REVERTED),
    _R.ABORTED: dict.fromkeys(_P, _R.ABORTED),
}

FINISHED = frozenset({_S.CONFIRMED, _S.SUPERSEDED})
BROKEN = frozenset({_S.CONFLICT, _S.REFUSED})
REJECTING = BROKEN | {_S.PUT_BACK}
HINDERED = frozenset({_S.WAITING, _S.UNREACHABLE})
HANDED = frozenset({_S.DELIVERED, _S.WAITING, _S.CONFIRMED})
OVER = frozenset({_R.DONE, _R.FAILED, _R.REVERTED, _R.ABORTED})
STOPPED = frozenset({_R.PAUSED, _R.REVERTING, _R.FAILED, _R.REVERTED, _R.ABORTED})
"""States of a gated roll-out in which nothing of it is handed over, however a site asks for it."""
