"""One roll-out as a state machine over two literal tables (pure).

Events go in with the time, a new :class:`Rollout` and commands come out. Nothing here raises. It goes wave by
wave. One that is *gated* looks at each wave's sites before it sends (baseline), asks the gate once the
wave is in effect, and bakes; a gate that fails, or a site that refuses or puts back, reverts it. What is not
gated takes one wave, and is done when its sites have it in effect.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from controller.rollout.course import Course, Looked, Rollout, SiteProgress
from controller.rollout.events import (
    Aborted,
    BaselineLooked,
    BreakerClosed,
    BreakerOpened,
    Command,
    Conclude,
    Confirm,
    DeadlinePassed,
    Deliver,
    Event,
    GateAnswered,
    Paused,
    Replanned,
    Resumed,
    Revert,
    RevertEnded,
    SiteHeard,
    Started,
)
from controller.rollout.states import (
    BROKEN,
    FINISHED,
    HINDERED,
    OVER,
    REJECTING,
    ROLLOUT_TABLE,
    SITE_TABLE,
    Progress,
    RolloutState,
    SiteEvent,
    SiteState,
)
from controller.snapshots.model import ChunkHash

PATIENCE_S = 5.0
"""Seconds after which a roll-out that still moves says that it waits, and for whom."""

Step = tuple[Rollout, tuple[Command, ...]]


def plan(
    id_: str,
    change_set_id: str,
    account_id: str,
    from_hash: ChunkHash | None,
    to_hash: ChunkHash,
    *,
    waves: tuple[tuple[str, ...], ...],
    course: Course | None = None,
) -> Rollout:
    """Return a roll-out that has not started; ``waves`` are disjoint sets of sites, in order."""
    sites = {site: SiteProgress(wave=n) for n, wave in enumerate(waves) for site in wave}
    return Rollout(id_, change_set_id, account_id, from_hash, to_hash, sites, course=course or Course())


def step(rollout: Rollout, event: Event, now: float) -> Step:
    """Return the roll-out after ``event``, and what is to be done; an unchanged one says nothing new.

    ``now`` is in seconds of any steady clock.
    """
    match event:
        case SiteHeard():
            return _heard(rollout, event, now)
        case BaselineLooked() | GateAnswered():
            return _looked(rollout, event, now)
        case Paused() | BreakerOpened() | Resumed() | BreakerClosed() | Aborted():
            return _wished(rollout, event, now)
        case _:
            return _gone_on(rollout, event, now)


def _wished(
    rollout: Rollout, event: Paused | BreakerOpened | Resumed | BreakerClosed | Aborted, now: float
) -> Step:
    match event:
        case Paused(cause, reason):
            return _paused(rollout, cause, reason, now)
        case BreakerOpened(scope, reason):
            if not rollout.course.subtractive:  # what takes nothing away is not the breaker's
                return rollout, ()
            return _paused(rollout, f"breaker {scope}", reason, now)
        case Resumed():
            return _resumed(rollout, event, now)
        case BreakerClosed(scope):
            return _resumed(rollout, Resumed(f"breaker {scope}"), now)
        case Aborted(reason):
            return _back(rollout, Progress.ABORT, reason, RolloutState.ABORTED)


def _gone_on(rollout: Rollout, event: Started | DeadlinePassed | Replanned | RevertEnded, now: float) -> Step:
    match event:
        case Started():
            return _started(rollout, now)
        case DeadlinePassed():
            return _deadline(rollout, now)
        case Replanned():
            return _replanned(rollout, event)
        case RevertEnded(ok, reason):
            return _revert_ended(rollout, ok, reason)


def progress(rollout: Rollout) -> Progress:
    """Return what the sites of the waves begun so far say together."""
    course = rollout.course
    begun = [s for s in rollout.sites.values() if s.wave <= rollout.wave]
    if not course.gated:
        return _whole(rollout, {s.state for s in begun})
    if course.seen and any(s.state in REJECTING for s in begun if s.wave >= course.passed):
        return Progress.REJECTED
    if not course.seen:
        return Progress.UNSEEN
    if course.passed <= rollout.wave:
        return _open_wave({s.state for s in begun if s.wave == rollout.wave})
    return Progress.UNBAKED if course.left is not None else _whole(rollout, {s.state for s in begun})


def _open_wave(states: set[SiteState]) -> Progress:
    """Say how far a wave is whose gate has not passed."""
    if SiteState.PENDING in states:
        return Progress.OUTSTANDING
    if SiteState.DELIVERED in states:
        return Progress.UNSETTLED
    if SiteState.WAITING in states or not states & FINISHED:
        return Progress.HINDERED
    return Progress.IN_EFFECT  # a site that cannot be reached gets it when it is back, and holds nobody up


def _whole(rollout: Rollout, states: set[SiteState]) -> Progress:
    more = rollout.wave + 1 < rollout.waves
    if more and rollout.course.gated:
        return Progress.WAVE_COMPLETE  # sites that were left behind count at the end
    if states & BROKEN:
        return Progress.BROKEN
    if states & {SiteState.PENDING, SiteState.PUT_BACK}:
        return Progress.OUTSTANDING
    if SiteState.DELIVERED in states:
        return Progress.UNSETTLED
    if states & HINDERED:
        return Progress.HINDERED
    return Progress.WAVE_COMPLETE if more else Progress.COMPLETE


def _started(rollout: Rollout, now: float) -> Step:
    if rollout.course.gated:  # it stays planned until somebody has looked
        if rollout.state is not RolloutState.PLANNED or rollout.deadline is not None or rollout.course.seen:
            return rollout, ()
        return replace(rollout, deadline=now + rollout.course.gate_wait_s), ()
    after, commands = _advance(rollout, Progress.STARTED)
    if rollout.state is RolloutState.PLANNED:
        after = replace(after, deadline=now + PATIENCE_S)
        commands = (Deliver(_wave(after, after.wave)), *commands)
    return _settle(after, commands, now)


def _heard(rollout: Rollout, event: SiteHeard, now: float) -> Step:
    old = rollout.sites.get(event.site)
    if old is None:  # a site that the plan does not know: it was added later
        return rollout, ()
    what = event.event
    if what is SiteEvent.PUT_BACK and rollout.is_final(event.site):
        what = SiteEvent.LACKING  # it was told that it is final: it has lost it in another way
    state = SITE_TABLE[old.state][what]
    told = _reason(old, state, what, event.reason)
    if (state, told) == (old.state, old.reason):
        return rollout, ()
    sites = rollout.sites | {event.site: replace(old, state=state, reason=told)}
    return _settle(replace(rollout, sites=sites), (), now)


def _deadline(rollout: Rollout, now: float) -> Step:
    passed = replace(rollout, deadline=None)
    course = rollout.course
    if rollout.state is RolloutState.BAKING:
        return _settle(*_advance(_on(passed, left=None), Progress.BAKED), now)
    if rollout.wants_look:
        what = "baseline" if rollout.state is RolloutState.PLANNED else "gate"
        said = course.looked[-1].reason if course.looked else "nobody has answered"
        if course.subtractive:
            why = f"the {what} of wave {rollout.wave} is unclear, and nothing is taken away on that: {said}"
            paused = _on(passed, pauses=course.pauses | {"gate": why})
            return _advance(paused, Progress.GATE_SILENT)
        if rollout.state is RolloutState.PLANNED:
            return _sent(passed, now)
        return _gate_passed(passed, now)  # what only adds goes on by its agents' reports
    return _advance(passed, Progress.DEADLINE)


def _looked(rollout: Rollout, event: BaselineLooked | GateAnswered, now: float) -> Step:
    baseline = isinstance(event, BaselineLooked)
    asked = RolloutState.PLANNED if baseline else RolloutState.GATING
    if rollout.state is not asked or event.wave != rollout.wave or not rollout.course.gated:
        return rollout, ()  # an answer to a question that nobody asks any more
    answer = Looked(event.wave, baseline, event.outcome, event.reason, event.evidence)
    kept = tuple(x for x in rollout.course.looked if (x.wave, x.baseline) != (event.wave, baseline))
    rollout = _on(rollout, looked=(*kept, answer))
    if event.outcome == "pass":
        return _sent(rollout, now) if baseline else _gate_passed(rollout, now)
    if event.outcome == "fail":
        what = "baseline" if baseline else "gate"
        why = f"the {what} of wave {event.wave} failed: {event.reason}"
        if baseline:
            paused = replace(_on(rollout, pauses=rollout.course.pauses | {"gate": why}), deadline=None)
            return _advance(paused, Progress.GATE_FAILED)
        return _back(rollout, Progress.GATE_FAILED, why, RolloutState.REVERTED)
    return _advance(rollout, Progress.GATE_UNCLEAR)


def _sent(rollout: Rollout, now: float) -> Step:
    after, commands = _advance(replace(_on(rollout, seen=True), deadline=now + PATIENCE_S), Progress.FIT)
    return _settle(after, (Deliver(_wave(after, after.wave)), *commands), now)


def _gate_passed(rollout: Rollout, now: float) -> Step:
    last = rollout.wave + 1 >= rollout.waves
    left = None if last or not rollout.course.bake_s else rollout.course.bake_s
    # All that came before is final, too: a site of an earlier wave may have been away until now.
    after = _on(rollout, passed=rollout.wave + 1, left=left)
    after, commands = _advance(replace(after, deadline=None), Progress.GATE_PASSED)
    return _settle(after, (Confirm(after.reached), *commands), now)


def _replanned(rollout: Rollout, event: Replanned) -> Step:
    nothing_sent = rollout.state is RolloutState.PLANNED and rollout.wave == 0 and not rollout.course.seen
    named = [site for wave in event.waves for site in wave]
    if not nothing_sent or sorted(named) != sorted(rollout.sites):
        return rollout, ()
    sites = {
        site: replace(rollout.sites[site], wave=n) for n, wave in enumerate(event.waves) for site in wave
    }
    return replace(_on(rollout, control=event.control), sites=sites), ()


def _paused(rollout: Rollout, cause: str, reason: str, now: float) -> Step:
    if rollout.state in OVER or rollout.state is RolloutState.REVERTING:
        return rollout, ()
    if rollout.state is RolloutState.PLANNED and not rollout.course.gated:
        return rollout, ()
    if rollout.course.pauses.get(cause) == reason:
        return rollout, ()
    after = _on(rollout, pauses=rollout.course.pauses | {cause: reason})
    if rollout.state is RolloutState.BAKING and rollout.deadline is not None:
        after = _on(
            after, left=max(0.0, rollout.deadline - now)
        )  # what is left of the bake stands still, too
    return _advance(replace(after, deadline=None), Progress.PAUSE)


def _resumed(rollout: Rollout, event: Resumed, now: float) -> Step:
    ended = {event.cause} | ({"gate"} if event.cause == "operator" else set())
    if rollout.state is not RolloutState.PAUSED or not ended & rollout.course.pauses.keys():
        return rollout, ()
    pauses = {cause: why for cause, why in rollout.course.pauses.items() if cause not in ended}
    after = _on(rollout, pauses=pauses)
    if pauses:
        return after, ()
    # A person has looked: what a site put back meanwhile is handed over once more.
    again = {
        name: replace(s, state=SiteState.PENDING, reason="") if s.state is SiteState.PUT_BACK else s
        for name, s in after.sites.items()
    }
    sent_again = tuple(sorted(name for name in again if again[name] != after.sites[name]))
    after, commands = _advance(replace(after, sites=again), Progress.RESUME)
    if not after.course.gated or after.course.seen:
        commands = (*commands, Deliver(sent_again)) if sent_again else commands
    after, commands = _settle(replace(after, deadline=now + PATIENCE_S), commands, now)
    if event.vouch and after.wants_look:
        what: type[BaselineLooked] | type[GateAnswered]
        what = BaselineLooked if after.state is RolloutState.PLANNED else GateAnswered
        vouched, more = _looked(after, what(after.wave, "pass", f"vouched for: {event.reason}"), now)
        return vouched, (*commands, *more)
    return after, commands


def _back(rollout: Rollout, event: Progress, reason: str, ending: RolloutState) -> Step:
    """Begin to take it back, and tell which sites were reached.

    With none of them the operational state alone goes back: else the account's next change would stand on
    what was aborted, and bring it along.
    """
    to = ROLLOUT_TABLE[rollout.state][event]
    if to is not RolloutState.REVERTING or rollout.state is to:
        return rollout, ()
    reached = rollout.reached
    after = replace(_on(rollout, why=reason, ending=ending.value, left=None, pauses={}), deadline=None)
    after, commands = _advance(after, event)
    return after, (*commands, Revert(reached, reason))


def _revert_ended(rollout: Rollout, ok: bool, reason: str) -> Step:
    if rollout.state is not RolloutState.REVERTING:
        return rollout, ()
    if not ok:
        why = f"{rollout.course.why}; it could not be taken back: {reason}"
        return _advance(_on(rollout, why=why), Progress.REVERT_FAILED)
    aborted = rollout.course.ending == RolloutState.ABORTED.value
    return _advance(rollout, Progress.ABORTED if aborted else Progress.REVERTED)


def _settle(rollout: Rollout, commands: tuple[Command, ...], now: float) -> Step:
    found = progress(rollout)
    if found is Progress.REJECTED:
        told = "; ".join(
            f"{name}: {s.reason}"
            for name, s in sorted(rollout.sites.items())
            if s.state in REJECTING and s.wave >= rollout.course.passed
        )
        after, more = _back(rollout, found, f"a site did not take it: {told}", RolloutState.REVERTED)
        return after, (*commands, *more)
    if found is Progress.WAVE_COMPLETE and ROLLOUT_TABLE[rollout.state][found] is RolloutState.DELIVERING:
        return _next_wave(rollout, commands, now)
    after, more = _advance(rollout, found)
    if after.state is not rollout.state:
        after = _deadline_of(after, now)
    return after, (*commands, *more)


def _next_wave(rollout: Rollout, commands: tuple[Command, ...], now: float) -> Step:
    after, more = _advance(rollout, Progress.WAVE_COMPLETE)
    after = replace(after, wave=after.wave + 1)
    if after.course.gated:
        return _settle(_on(after, seen=False), (*commands, *more), now)
    return _settle(after, (*commands, Deliver(_wave(after, after.wave)), *more), now)


def _deadline_of(rollout: Rollout, now: float) -> Rollout:
    """Return it with the deadline of a state that it has just come into."""
    if rollout.wants_look:
        return replace(rollout, deadline=now + rollout.course.gate_wait_s)
    if rollout.state is RolloutState.BAKING and rollout.course.left is not None:
        return replace(rollout, deadline=now + rollout.course.left)
    return rollout


def _advance(rollout: Rollout, event: Progress) -> Step:
    state = ROLLOUT_TABLE[rollout.state][event]
    if state in OVER and rollout.state not in OVER:
        ended = replace(rollout, state=state, deadline=None)
        return ended, (Conclude(state, ended.reason),)
    return replace(rollout, state=state), ()


def _on(rollout: Rollout, **changes: Any) -> Rollout:
    return replace(rollout, course=msgspec.structs.replace(rollout.course, **changes))


def _wave(rollout: Rollout, number: int) -> tuple[str, ...]:
    return tuple(sorted(name for name, s in rollout.sites.items() if s.wave == number))


def _reason(old: SiteProgress, state: SiteState, event: SiteEvent, reason: str) -> str:
    """Keep the reason of a state that an event did not change and has nothing to say about."""
    if state in FINISHED and old.state in FINISHED:
        return old.reason
    if state is old.state and state in BROKEN | {SiteState.WAITING, SiteState.PUT_BACK} and not reason:
        return old.reason
    if state in BROKEN and event in (SiteEvent.UNREACHED, SiteEvent.LACKING):
        return old.reason
    if state is SiteState.PUT_BACK and event in (SiteEvent.UNREACHED, SiteEvent.LACKING):
        return old.reason
    return reason
