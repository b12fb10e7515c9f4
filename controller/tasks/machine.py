"""A run's life (pure): a literal table of state × event. The runner is driven by the commands it gives.

::

    queued ─▶ planning ─┬─▶ carrying out ─▶ done          (nothing to do: done at once; dry run: planned)
                        └─▶ waiting ─▶ approved ─▶ confirming ─┬─▶ carrying out
                              ▲                                └─▶ waiting (the plan changed: approval void)
                              └────────────────────────────────┘
    any state that is not an end ─▶ refused · failed · stopped · interrupted · lapsed

A run that was interrupted is never resumed: nobody knows what the world made of its last call, so the next
run looks anew and plans anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum


class RunState(StrEnum):
    """How far a run is."""

    QUEUED = "queued"
    PLANNING = "planning"
    WAITING = "waiting"
    """For the approval of a second person."""
    APPROVED = "approved"
    CONFIRMING = "confirming"
    """It is planned anew, to see whether what was approved is still what would be done."""
    CARRYING_OUT = "carrying_out"
    DONE = "done"
    PLANNED = "planned"
    """A dry run that has ended."""
    REFUSED = "refused"
    """It tried what its declaration does not foresee."""
    FAILED = "failed"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"
    LAPSED = "lapsed"
    """Nobody approved it in time."""


OVER = frozenset(
    {
        RunState.DONE,
        RunState.PLANNED,
        RunState.REFUSED,
        RunState.FAILED,
        RunState.STOPPED,
        RunState.INTERRUPTED,
        RunState.LAPSED,
    }
)
AT_WORK = frozenset({RunState.PLANNING, RunState.CONFIRMING, RunState.CARRYING_OUT})
"""Somebody holds the run's lease in these."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run. ``plan_hash`` and ``objects``: of its newest plan; ``approved_hash``: of the approved one.

    ``done`` of ``steps`` have been carried out.
    """

    state: RunState = RunState.QUEUED
    dry_run: bool = False
    plan_hash: str | None = None
    objects: int = 0
    steps: int = 0
    done: int = 0
    approved_hash: str | None = None
    reason: str = ""


# -- events -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Begun:
    """A runner has taken the run up."""


@dataclass(frozen=True, slots=True)
class Proposed:
    """The dry run is over. ``approve_above``: a plan of more objects waits for a second person."""

    plan_hash: str
    objects: int
    steps: int
    approve_above: int


@dataclass(frozen=True, slots=True)
class Approved:
    """A second person approved the plan with this hash; who may is not decided here."""

    plan_hash: str


@dataclass(frozen=True, slots=True)
class StepDone:
    """The next step has been carried out."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The run tried what was not foreseen."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The API refused, the time was up, or the task itself failed."""

    reason: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The stop switch is on."""

    reason: str


@dataclass(frozen=True, slots=True)
class Crashed:
    """Whoever was at work on the run is gone."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lapsed:
    """The time in which it could be approved is over."""

    reason: str


Event = Begun | Proposed | Approved | StepDone | Refused | Failed | Stopped | Crashed | Lapsed
EVENTS: tuple[type[Event], ...] = (
    Begun, Proposed, Approved, StepDone, Refused, Failed, Stopped, Crashed, Lapsed,
)  # fmt: skip


# -- commands -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MakePlan:
    """Plan, and have the API foretell each step."""


@dataclass(frozen=True, slots=True)
class CarryOut:
    """Carry out the step with this index, and nothing else."""

    index: int


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell operators at once."""

    says: str


Command = MakePlan | CarryOut | Tell
Moved = tuple[Run, tuple[Command, ...]]


def step(run: Run, event: Event) -> Moved:
    """Return the run after ``event``, and what is to be done now. It is defined for every pair."""
    return TABLE[run.state, type(event)](run, event)


def _stay(run: Run, event: Event) -> Moved:
    """A late event: it says nothing that matters any more."""
    return run, ()


def _begin(run: Run, event: Event) -> Moved:
    return replace(run, state=RunState.PLANNING), (MakePlan(),)


def _confirm(run: Run, event: Event) -> Moved:
    return replace(run, state=RunState.CONFIRMING), (MakePlan(),)


def _proposed(run: Run, event: Event) -> Moved:
    assert isinstance(event, Proposed)
    run = _with_plan(run, event)
    if run.dry_run:
        return replace(run, state=RunState.PLANNED, reason=""), ()
    if event.steps == 0:
        return replace(run, state=RunState.DONE, reason="there was nothing to do"), ()
    if event.objects > event.approve_above:
        why = f"it would change {event.objects} objects: above {event.approve_above} a second person approves"
        return replace(run, state=RunState.WAITING, reason=why), (Tell(why),)
    return replace(run, state=RunState.CARRYING_OUT, reason=""), (CarryOut(0),)


def _proposed_again(run: Run, event: Event) -> Moved:
    assert isinstance(event, Proposed)
    if event.plan_hash == run.approved_hash and event.steps:
        return replace(run, state=RunState.CARRYING_OUT, reason=""), (CarryOut(0),)
    moved, commands = _proposed(replace(run, approved_hash=None), event)
    if moved.state is not RunState.WAITING:  # little is left of it: no approval is needed any more
        return moved, commands
    why = f"the plan changed since it was approved, and the approval is void: {moved.reason}"
    return replace(moved, reason=why), (Tell(why),)


def _with_plan(run: Run, event: Proposed) -> Run:
    return replace(run, plan_hash=event.plan_hash, objects=event.objects, steps=event.steps, done=0)


def _approved(run: Run, event: Event) -> Moved:
    assert isinstance(event, Approved)
    if event.plan_hash != run.plan_hash:  # another plan than the one that waits
        return run, ()
    return replace(run, state=RunState.APPROVED, approved_hash=event.plan_hash, reason=""), ()


def _next(run: Run, event: Event) -> Moved:
    done = run.done + 1
    if done < run.steps:
        return replace(run, done=done), (CarryOut(done),)
    return replace(run, done=done, state=RunState.DONE, reason=""), ()


def _end(state: RunState, *, tell: bool = True) -> Callable[[Run, Event], Moved]:
    def ended(run: Run, event: Event) -> Moved:
        assert isinstance(event, Refused | Failed | Stopped | Crashed | Lapsed)
        return replace(run, state=state, reason=event.reason), (Tell(event.reason),) if tell else ()

    return ended


_REFUSED = _end(RunState.REFUSED)
_FAILED = _end(RunState.FAILED)
_STOPPED = _end(RunState.STOPPED)
_CRASHED = _end(RunState.INTERRUPTED)
_LAPSED = _end(RunState.LAPSED)

_S = RunState
_OF_STATE: Mapping[RunState, Mapping[type[Event], Callable[[Run, Event], Moved]]] = {
    _S.QUEUED: {Begun: _begin, Stopped: _STOPPED, Failed: _FAILED},
    _S.PLANNING: {
        Proposed: _proposed, Refused: _REFUSED, Failed: _FAILED, Stopped: _STOPPED, Crashed: _CRASHED,
    },
    _S.WAITING: {Approved: _approved, Stopped: _STOPPED, Lapsed: _LAPSED},
    _S.APPROVED: {Begun: _confirm, Stopped: _STOPPED, Failed: _FAILED},
    _S.CONFIRMING: {
        Proposed: _proposed_again, Refused: _REFUSED, Failed: _FAILED, Stopped: _STOPPED, Crashed: _CRASHED,
    },
    _S.CARRYING_OUT: {
        StepDone: _next, Refused: _REFUSED, Failed: _FAILED, Stopped: _STOPPED, Crashed: _CRASHED,
    },
    **{state: {} for state in OVER},
}  # fmt: skip

TABLE: Mapping[tuple[RunState, type[Event]], Callable[[Run, Event], Moved]] = {
    (state, event): _OF_STATE[state].get(event, _stay) for state in RunState for event in EVENTS
}
"""Every pair; those that :data:`_OF_STATE` does not name are late events."""
