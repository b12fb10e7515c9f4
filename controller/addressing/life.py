"""The life of a prefix as one literal state × event table (pure).

The state is nowhere stored: :func:`state_of` derives it from facts that are (approval, checks, bindings, BGP
prefixes, tombstone), so that there is no second truth. The table says the same in the other direction: which
event leads where. :func:`events_between` gives the events that lead from some facts to others, and folding
them through the table ends in the state of the facts (a property test). Nothing here raises: what comes late
or cannot happen is an entry of the table, too.

``docs/life-of-a-prefix.md`` is drawn from the table by :func:`diagram`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """How far a prefix is in its life, by what is configured."""

    SUBMITTED = "submitted"  # onboarded, and nothing more
    VALIDATING = "validating"  # its checks were asked for
    APPROVED = "approved"  # an operator has seen that it is the customer's
    BOUND = "bound"  # a service is bound to it
    ADVERTISABLE = "advertisable"  # a BGP prefix stands on a binding
    ADVERTISED = "advertised"  # at least one BGP prefix is asked to be announced
    WITHDRAWN = "withdrawn"  # it was advertised, and no BGP prefix is now
    TOMBSTONED = "tombstoned"  # deleted, and can be undeleted
    GONE = "gone"  # purged


class Event(Enum):
    """What happened to a prefix."""

    VALIDATION_ASKED = "validation asked"
    CHECK_ENDED = "a check ended"
    APPROVED = "approved"
    BOUND = "first binding made"
    UNBOUND = "last binding deleted"
    STANDS = "a BGP prefix stands on a binding"
    FELL = "no BGP prefix stands on a binding"
    ADVERTISED = "first BGP prefix advertised"
    WITHDRAWN = "last BGP prefix withdrawn"
    TOMBSTONED = "deleted"
    UNDELETED = "undeleted"
    PURGED = "purged"


class Return(Enum):
    """The entry of an event that leads back to where the prefix was before its deletion."""

    RETURN = "as it was"


Entry = State | Return

_S, _E = State, Event


def _row(here: State, moves: dict[Event, Entry]) -> dict[Event, Entry]:
    """Return a row of the table: ``moves``, and for every other event to stay."""
    return dict.fromkeys(_E, here) | moves


TABLE: dict[State, dict[Event, Entry]] = {
    # What approval allows comes later: a binding before it is refused, so its event cannot happen here.
    _S.SUBMITTED: _row(
        _S.SUBMITTED,
        {_E.VALIDATION_ASKED: _S.VALIDATING, _E.APPROVED: _S.APPROVED, _E.TOMBSTONED: _S.TOMBSTONED},
    ),
    # A check that ends decides nothing: an operator approves. One that fails can be asked for again.
    _S.VALIDATING: _row(_S.VALIDATING, {_E.APPROVED: _S.APPROVED, _E.TOMBSTONED: _S.TOMBSTONED}),
    # Validation is not availability (SAFETY.md, 11): checks that are repeated from here on move nothing, and
    # an approval is never lost; what is wrong later blocks new announcements and shows beside the state.
    _S.APPROVED: _row(
        _S.APPROVED,
        {_E.BOUND: _S.BOUND, _E.TOMBSTONED: _S.TOMBSTONED},
    ),
    _S.BOUND: _row(
        _S.BOUND,
        {
            _E.UNBOUND: _S.APPROVED,
            _E.STANDS: _S.ADVERTISABLE,
            _E.TOMBSTONED: _S.TOMBSTONED,
        },
    ),
    # Nothing that stands has been advertised yet.
    _S.ADVERTISABLE: _row(
        _S.ADVERTISABLE,
        {
            _E.FELL: _S.BOUND,
            _E.ADVERTISED: _S.ADVERTISED,
            _E.TOMBSTONED: _S.TOMBSTONED,
        },
    ),
    # A binding cannot be deleted under an advertised BGP prefix; should it be gone, the route is asked for
    # until somebody withdraws it (machines without the binding keep it from being announced).
    _S.ADVERTISED: _row(
        _S.ADVERTISED,
        {_E.WITHDRAWN: _S.WITHDRAWN, _E.TOMBSTONED: _S.TOMBSTONED},
    ),
    # Withdrawing never touches a binding. Once it was on the air it stays "withdrawn", whatever goes.
    _S.WITHDRAWN: _row(
        _S.WITHDRAWN,
        {_E.ADVERTISED: _S.ADVERTISED, _E.TOMBSTONED: _S.TOMBSTONED},
    ),
    # A tombstone is as it was laid: a check that ends late changes nothing of it.
    _S.TOMBSTONED: _row(_S.TOMBSTONED, {_E.UNDELETED: Return.RETURN, _E.PURGED: _S.GONE}),
    _S.GONE: _row(_S.GONE, {}),
}

REMOVED = frozenset({State.TOMBSTONED, State.GONE})

NEXT_STEP: dict[State, str] = {
    State.SUBMITTED: "have it validated and approved",
    State.VALIDATING: "wait for its checks; an operator approves it when they pass",
    State.APPROVED: "bind all of it to a service",
    State.BOUND: "make a BGP prefix on its binding",
    State.ADVERTISABLE: "advertise it",
    State.ADVERTISED: "",
    State.WITHDRAWN: "advertise it again when you want it on the air",
    State.TOMBSTONED: "undelete it within the grace time, or leave it to be purged",
    State.GONE: "",
}
"""What moves a prefix on, as its owner is told; empty where nothing is left to do."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is stored of a prefix, as far as its state depends on it.

    ``validation_asked``: a check of it was ever asked for. ``bound``: it has a binding. ``stands``: a BGP
    prefix has a binding around it. ``once_advertised``: a BGP prefix of it, deleted ones among them, was ever
    advertised. ``tombstoned``: it is deleted and all of the above is as it was before; ``purged``: its row
    is gone.
    """

    validation_asked: bool = False
    approved: bool = False
    bound: bool = False
    stands: bool = False
    advertised: bool = False
    once_advertised: bool = False
    tombstoned: bool = False
    purged: bool = False


@dataclass(frozen=True, slots=True)
class Life:
    """A state, and the one under a tombstone that undeleting brings back."""

    state: State = State.SUBMITTED
    under: State | None = None


def state_of(facts: Facts) -> State:
    """Return the state; the first that applies, from the end of the life to its beginning."""
    if facts.purged:
        return State.GONE
    if facts.tombstoned:
        return State.TOMBSTONED
    return _live_state(facts)


def life_of(facts: Facts) -> Life:
    """Return the state with the one under it."""
    state = state_of(facts)
    return Life(state, _live_state(facts) if state is State.TOMBSTONED else None)


def _live_state(facts: Facts) -> State:
    found = State.SUBMITTED
    if facts.advertised:
        found = State.ADVERTISED
    elif facts.once_advertised:
        found = State.WITHDRAWN
    elif not facts.approved:
        found = State.VALIDATING if facts.validation_asked else State.SUBMITTED
    elif facts.bound and facts.stands:
        found = State.ADVERTISABLE
    else:
        found = State.BOUND if facts.bound else State.APPROVED
    return found


def step(life: Life, event: Event) -> Life:
    """Return the life after ``event``, as the table says."""
    entry = TABLE[life.state][event]
    if isinstance(entry, Return):
        return Life(life.under or State.SUBMITTED)
    if entry is State.TOMBSTONED:
        return Life(entry, life.under if life.state is State.TOMBSTONED else life.state)
    return Life(entry)


def fold(life: Life, events: Iterable[Event]) -> Life:
    """Return the life after ``events``, in order."""
    for event in events:
        life = step(life, event)
    return life


def events_between(before: Facts, after: Facts) -> tuple[Event, ...]:
    """Return the events that lead from the facts before a write to those after it, in their order.

    What is taken away comes in the opposite order of what is given: a route goes before its binding.
    """
    if before.purged or before == after:
        return ()
    found: list[Event] = []
    if before.tombstoned and not after.tombstoned and not after.purged:
        found.append(Event.UNDELETED)
    if not before.tombstoned or Event.UNDELETED in found:
        found += _live_events(before, after)
    if after.tombstoned and not before.tombstoned:
        found.append(Event.TOMBSTONED)
    if after.purged:
        if not before.tombstoned and not after.tombstoned:
            found.append(Event.TOMBSTONED)
        found.append(Event.PURGED)
    return tuple(found)


def _live_events(before: Facts, after: Facts) -> list[Event]:
    found: list[Event] = []
    if before.advertised and not after.advertised:
        found.append(Event.WITHDRAWN)
    if before.stands and not after.stands:
        found.append(Event.FELL)
    if before.bound and not after.bound:
        found.append(Event.UNBOUND)
    if after.validation_asked and not before.validation_asked:
        found.append(Event.VALIDATION_ASKED)
    if after.approved and not before.approved:
        found.append(Event.APPROVED)
    if after.bound and not before.bound:
        found.append(Event.BOUND)
    if after.stands and not before.stands:
        found.append(Event.STANDS)
    if after.advertised and not before.advertised:
        found.append(Event.ADVERTISED)
    return found


def diagram() -> str:
    """Return the table as a state diagram in Mermaid's language; an arrow for each event that moves."""
    live = [s for s in State if s not in REMOVED]
    lines = ["stateDiagram-v2", "    [*] --> live", "    state live {", "        [*] --> submitted"]
    lines += [f"        {arrow}" for s in live for arrow in _arrows(s) if not arrow.endswith(": deleted")]
    lines += ["    }", "    live --> tombstoned : deleted"]
    lines += [f"    {arrow}" for s in (State.TOMBSTONED, State.GONE) for arrow in _arrows(s)]
    return "\n".join([*lines, "    gone --> [*]", ""])


def _arrows(state: State) -> list[str]:
    found: list[str] = []
    for event, entry in TABLE[state].items():
        if entry is not state:
            to = "live" if isinstance(entry, Return) else entry.value
            label = f"{event.value}, as it was" if isinstance(entry, Return) else event.value
            found.append(f"{state.value} --> {to} : {label}")
    return found
