"""The circuit breaker (pure): SAFETY.md, 4; invariant I7.

While a scope is open, no subtractive effect in it is deployed: what asks for one is held in a queue, by
group. It never closes by itself. Somebody closes it who names the hash of the queue that they looked at, with
a decision for each group in it; for all of the scope, or for one account or actor alone.

Scopes: ``fleet``, ``class:VERB`` (a verb of :mod:`controller.safety.effects`), ``actor:ROLE:ID`` and
``account:ID``. What opens them are the findings of an assessment (its verdict's ``opens``) and signals
(:mod:`controller.safety.observed`): both name the smallest scope that explains them. Several
open scopes of one kind open the fleet's.

:func:`step` takes an event and the time and gives the next state and commands; a scope's own life is the
literal :data:`TABLE`. Times are seconds.

Errors::

    BreakerError
    ├── NotOpenError            the scope is not open (any more)
    ├── StaleQueueError         the queue is not the one that was looked at: look again
    ├── UndecidedError          a group has no decision, or one that is not in the queue has
    └── PartError               a scope can be closed for one account or one actor, and for nothing else
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import Literal

import msgspec

from controller.errors import HeraldError
from controller.safety.policy import Audience, Policy
from controller.safety.windows import FLEET, account_scope, actor_scope, class_scope

Decision = Literal["deploy", "drop", "wait"]


class BreakerError(HeraldError):
    """Root of the breaker's errors: nothing was changed."""


class NotOpenError(BreakerError):
    """The scope is not open."""


class StaleQueueError(BreakerError):
    """The queue has changed since it was looked at."""


class UndecidedError(BreakerError):
    """The decisions are not one for each group of the queue."""


class PartError(BreakerError):
    """What a scope was to be closed for is neither an account nor an actor."""


class ScopeState(Enum):
    """``open`` until somebody answers (reminders are due); ``answered`` holds as well, and is quiet."""

    CLOSED = "closed"
    OPEN = "open"
    ANSWERED = "answered"


class ScopeEvent(Enum):
    """What happens to one scope. ``calm``: the excess has passed."""

    EXCESS = "excess"
    CALM = "calm"
    DUE = "due"
    ANSWER = "answer"
    CLOSE = "close"


TABLE: Mapping[tuple[ScopeState, ScopeEvent], ScopeState | str] = {
    (ScopeState.CLOSED, ScopeEvent.EXCESS): ScopeState.OPEN,
    (ScopeState.CLOSED, ScopeEvent.CALM): ScopeState.CLOSED,
    (ScopeState.CLOSED, ScopeEvent.DUE): ScopeState.CLOSED,
    (ScopeState.CLOSED, ScopeEvent.ANSWER): "it is not open: nothing waits for an answer",
    (ScopeState.CLOSED, ScopeEvent.CLOSE): "it is not open: nothing is to be closed",
    (ScopeState.OPEN, ScopeEvent.EXCESS): ScopeState.OPEN,
    (ScopeState.OPEN, ScopeEvent.CALM): ScopeState.OPEN,
    (ScopeState.OPEN, ScopeEvent.DUE): ScopeState.OPEN,
    (ScopeState.OPEN, ScopeEvent.ANSWER): ScopeState.ANSWERED,
    (ScopeState.OPEN, ScopeEvent.CLOSE): ScopeState.CLOSED,
    (ScopeState.ANSWERED, ScopeEvent.EXCESS): ScopeState.ANSWERED,
    (ScopeState.ANSWERED, ScopeEvent.CALM): ScopeState.ANSWERED,
    (ScopeState.ANSWERED, ScopeEvent.DUE): ScopeState.ANSWERED,
    (ScopeState.ANSWERED, ScopeEvent.ANSWER): ScopeState.ANSWERED,
    (ScopeState.ANSWERED, ScopeEvent.CLOSE): ScopeState.CLOSED,
}
"""A scope's life: the next state, or why the event is refused. Calm never closes it: a person does."""


class Opening(msgspec.Struct, frozen=True):
    """An open scope.

    ``check``: which check or signal opened it; ``says``: its sentence. ``since``: when it opened;
    ``first_harm``: when the first effect came that counted towards it. ``told``: how often it was notified,
    and ``accounts``: those that were. ``except_for``: accounts' and actors' scopes that it was closed for.
    ``answered_by``: empty until somebody has.
    """

    scope: str
    check: str
    says: str
    since: float
    first_harm: float
    told: int = 1
    accounts: tuple[str, ...] = ()
    except_for: tuple[str, ...] = ()
    answered_by: str = ""

    @property
    def detection_s(self) -> float:
        """Seconds from the first harm until it opened."""
        return max(0.0, self.since - self.first_harm)

    @property
    def state(self) -> ScopeState:
        """Where in its life it is."""
        return ScopeState.ANSWERED if self.answered_by else ScopeState.OPEN


class Held(msgspec.Struct, frozen=True):
    """A change-set that waits. ``verbs``: its subtractive effects' classes; ``prefixes``: how many they hit.

    ``group``: what is decided on as one. ``decided``: ``deploy`` by everybody who closed a scope of it so
    far, while another one is still open; ``wait`` after all are closed.
    """

    change_set_id: str
    account_id: str
    actor: str
    verbs: tuple[str, ...]
    prefixes: int
    at: float
    group: str = ""
    decided: Decision | Literal[""] = ""


class State(msgspec.Struct, frozen=True):
    """The breaker: open scopes by name, and what is held by change-set id, oldest first.

    ``excused``: a wide scope that somebody closed → scopes that were still open then, which do not open it
    again.
    """

    open: dict[str, Opening] = {}
    held: dict[str, Held] = {}
    excused: dict[str, tuple[str, ...]] = {}


# -- events -------------------------------------------------------------------------------------------------


class Exceeded(msgspec.Struct, frozen=True):
    """A check or a signal names ``scope``. ``accounts``: the ones that are concerned."""

    scope: str
    check: str
    says: str
    first_harm: float
    accounts: tuple[str, ...] = ()


class Holding(msgspec.Struct, frozen=True):
    """A change-set is held from now on (again: nothing happens)."""

    held: Held


class Left(msgspec.Struct, frozen=True):
    """A change-set waits no more: it was cancelled, has failed, or was dropped by its actor."""

    change_set_id: str


class Ticked(msgspec.Struct, frozen=True):
    """Time has passed: see what is due."""


class Answered(msgspec.Struct, frozen=True):
    """``by`` has seen that ``scope`` is open: it stays so, and is quiet."""

    scope: str
    by: str


class Closing(msgspec.Struct, frozen=True):
    """``by`` looked at the queue with ``queue_hash`` and decided on each of its groups.

    ``only``: close it for this account's or actor's scope alone.
    """

    scope: str
    queue_hash: str
    decisions: dict[str, Decision]
    by: str
    only: str | None = None


class Decided(msgspec.Struct, frozen=True):
    """``by`` decides on change-sets that were to wait when the last of their scopes was closed."""

    change_set_ids: tuple[str, ...]
    decision: Decision
    by: str


Event = Exceeded | Holding | Left | Ticked | Answered | Closing | Decided

# -- commands -----------------------------------------------------------------------------------------------


class Notify(msgspec.Struct, frozen=True):
    """Tell operators, ``accounts`` and ``audience`` about ``scope``. ``nth``: 0 at once, then by reminder."""

    scope: str
    nth: int
    accounts: tuple[str, ...]
    says: str
    at: float
    audience: tuple[Audience, ...] = ()


class Release(msgspec.Struct, frozen=True):
    """Deploy a held change-set: ``by`` decided so. It is assessed again, but for budgets and breaker."""

    change_set_id: str
    by: str


class Drop(msgspec.Struct, frozen=True):
    """Never deploy a held change-set: ``by`` decided so."""

    change_set_id: str
    by: str


class Forget(msgspec.Struct, frozen=True):
    """Count anew in ``scope`` (:meth:`controller.safety.windows.Ledger.forget`)."""

    scope: str
    at: float


Command = Notify | Release | Drop | Forget


def step(state: State, event: Event, now: float, policy: Policy) -> tuple[State, list[Command]]:
    """Return the state after ``event`` at ``now``, and what is to be done.

    Raises the :class:`BreakerError` that says why an answer or a closing is refused.
    """
    done: tuple[State, list[Command]]
    match event:
        case Exceeded():
            done = _exceeded(state, event, now, policy)
        case Holding():
            done = _holding(state, event.held, now)
        case Left():
            held = {k: v for k, v in state.held.items() if k != event.change_set_id}
            done = msgspec.structs.replace(state, held=held), []
        case Ticked():
            done = _ticked(state, now, policy)
        case Answered():
            opening = _opening(state, event.scope, ScopeEvent.ANSWER)
            done = _with(state, msgspec.structs.replace(opening, answered_by=event.by)), []
        case Closing():
            done = _closing(state, event, now)
        case Decided():
            done = _late_decision(state, event)
    return done


def excused(state: State, scope: str) -> bool:
    """Tell whether somebody closed a wider scope and left ``scope`` open: they know of it."""
    return any(scope in narrower for narrower in state.excused.values())


def scopes_of(actor: str, account_id: str, verbs: Iterable[str]) -> tuple[str, ...]:
    """Return the scopes that a subtractive change of these classes lies in, smallest first."""
    classes = (class_scope(v) for v in sorted(set(verbs)))
    return (actor_scope(actor), account_scope(account_id), *classes, FLEET)


def holding(state: State, actor: str, account_id: str, verbs: Iterable[str]) -> tuple[Opening, ...]:
    """Return the open scopes that hold such a change up, smallest first; with no ``verbs`` none does."""
    classes = tuple(verbs)
    if not classes:
        return ()
    mine = {actor_scope(actor), account_scope(account_id)}
    found = (state.open.get(s) for s in scopes_of(actor, account_id, classes))
    return tuple(o for o in found if o is not None and not mine & set(o.except_for))


def queue(state: State, scope: str, only: str | None = None) -> tuple[Held, ...]:
    """Return what is held in ``scope``, oldest first; ``only``: an account's or actor's scope within it."""
    return tuple(
        h
        for h in state.held.values()
        if scope in scopes_of(h.actor, h.account_id, h.verbs)
        and (only is None or only in scopes_of(h.actor, h.account_id, h.verbs))
        and scope in {o.scope for o in holding(state, h.actor, h.account_id, h.verbs)}
    )


def groups(held: Iterable[Held]) -> dict[str, tuple[Held, ...]]:
    """Return held change-sets by what is decided on as one."""
    found: dict[str, tuple[Held, ...]] = {}
    for one in held:
        found[group_of(one)] = (*found.get(group_of(one), ()), one)
    return found


def group_of(held: Held) -> str:
    """Return the group's name: by default actor and classes."""
    return held.group or f"{held.actor} {'+'.join(held.verbs)}"


def queue_hash(held: Iterable[Held]) -> str:
    """Return the hash of a queue: 16 hex digits that change with each change-set that comes or goes."""
    rows = sorted((h.change_set_id, group_of(h)) for h in held)
    return hashlib.sha256(msgspec.json.encode(rows)).hexdigest()[:16]


def next_due(state: State, policy: Policy) -> float | None:
    """Return when :class:`Ticked` is next of use; None: nothing is due by itself."""
    due = (_reminder(o, policy.breaker.remind_after) for o in state.open.values())
    return min((d for d in due if d is not None), default=None)


# -- what each event does -----------------------------------------------------------------------------------


def _exceeded(state: State, event: Exceeded, now: float, policy: Policy) -> tuple[State, list[Command]]:
    known = state.open.get(event.scope)
    if known is not None:
        return _tell(state, known, event.accounts, now)
    opened = Opening(
        event.scope,
        event.check,
        event.says,
        now,
        min(event.first_harm, now),
        accounts=tuple(sorted(set(event.accounts))),
    )
    state = _with(msgspec.structs.replace(state, excused=_without(state.excused, event.scope)), opened)
    commands: list[Command] = [_notify(opened, 0, opened.accounts, now)]
    wider = _several(state, event.scope, now, policy)
    if wider is not None:
        state, more = _exceeded(state, wider, now, policy)
        commands += more
    return state, commands


def _several(state: State, scope: str, now: float, policy: Policy) -> Exceeded | None:
    """Return the opening of the fleet when so many scopes of one kind opened at about the same time."""
    kind = scope.partition(":")[0]
    if scope == FLEET or FLEET in state.open:
        return None
    begin = now - policy.breaker.several_within_s
    alike = [
        o
        for o in state.open.values()
        if o.scope.startswith(f"{kind}:") and o.since > begin and not excused(state, o.scope)
    ]
    if len(alike) < policy.breaker.several:
        return None
    names = ", ".join(sorted(o.scope for o in alike))
    return Exceeded(
        FLEET,
        "several",
        f"{len(alike)} scopes opened within {policy.breaker.several_within_s} s ({names}): "
        "look for what they have in common",
        min(o.first_harm for o in alike),
        tuple(sorted({a for o in alike for a in o.accounts})),
    )


def _holding(state: State, held: Held, now: float) -> tuple[State, list[Command]]:
    if held.change_set_id not in state.held:
        state = msgspec.structs.replace(state, held={**state.held, held.change_set_id: held})
    commands: list[Command] = []
    for opening in holding(state, held.actor, held.account_id, held.verbs):
        state, more = _tell(state, opening, (held.account_id,), now)
        commands += more
    return state, commands


def _tell(state: State, opening: Opening, accounts: Iterable[str], now: float) -> tuple[State, list[Command]]:
    """Notify the accounts that are concerned, and have not been told yet."""
    new = tuple(sorted(set(accounts) - set(opening.accounts)))
    if not new:
        return state, []
    told = msgspec.structs.replace(opening, accounts=tuple(sorted({*opening.accounts, *new})))
    return _with(state, told), [_notify(told, 0, new, now)]


def _ticked(state: State, now: float, policy: Policy) -> tuple[State, list[Command]]:
    after = policy.breaker.remind_after
    commands: list[Command] = []
    for opening in state.open.values():
        due = _reminder(opening, after)
        if due is None or due > now:
            continue
        # After a long sleep one reminder is enough, of the widest kind that is due.
        passed = sum(1 for seconds in after if opening.since + seconds <= now)
        state = _with(state, msgspec.structs.replace(opening, told=1 + passed))
        wider = policy.breaker.remind_whom[:passed]
        commands.append(_notify(opening, passed, opening.accounts, now, wider))
    return state, commands


def _reminder(opening: Opening, after: Sequence[int]) -> float | None:
    if opening.answered_by or opening.told > len(after):
        return None
    return opening.since + after[opening.told - 1]


def _closing(state: State, event: Closing, now: float) -> tuple[State, list[Command]]:
    opening = _opening(state, event.scope, ScopeEvent.CLOSE)
    if event.only is not None and not event.only.startswith(("account:", "actor:")):
        raise PartError(
            f"{event.scope} cannot be closed for {event.only} alone: name account:ID or actor:ROLE:ID"
        )
    waiting = queue(state, event.scope, event.only)
    present = queue_hash(waiting)
    if event.queue_hash != present:
        raise StaleQueueError(
            f"the queue of {event.scope} is {present} now and not {event.queue_hash}: look at it again "
            "(herald breaker show), and decide on what is there"
        )
    found = groups(waiting)
    _decided(found.keys(), event.decisions.keys())
    if event.only is None:
        rest = {k: v for k, v in state.open.items() if k != event.scope}
        known = _without(state.excused, event.scope)
        narrower = tuple(sorted(s for s in rest if s != FLEET))
        if narrower and event.scope.partition(":")[0] in {FLEET, "class"}:
            known[event.scope] = narrower
        state = msgspec.structs.replace(state, open=rest, excused=known)
        commands: list[Command] = [Forget(event.scope, now)]
    else:
        spared = tuple(sorted({*opening.except_for, event.only}))
        state = _with(state, msgspec.structs.replace(opening, except_for=spared))
        commands = []
    for group, members in found.items():
        state, more = _decide(state, members, event.decisions[group], event.by)
        commands += more
    return state, commands


def _decided(present: AbstractSet[str], named: AbstractSet[str]) -> None:
    if present == named:
        return
    missing, unknown = sorted(present - named), sorted(named - present)
    what = [f"no decision for {', '.join(missing)}"] if missing else []
    what += [f"no such group: {', '.join(unknown)}"] if unknown else []
    raise UndecidedError(f"{'; '.join(what)}: give deploy, drop or wait for each group of the queue")


def _decide(
    state: State, members: Iterable[Held], decision: Decision, by: str
) -> tuple[State, list[Command]]:
    held = dict(state.held)
    commands: list[Command] = []
    for one in members:
        still = holding(state, one.actor, one.account_id, one.verbs)
        if decision == "drop":
            del held[one.change_set_id]
            commands.append(Drop(one.change_set_id, by))
        elif decision == "deploy" and not still:
            del held[one.change_set_id]
            commands.append(Release(one.change_set_id, by))
        else:
            held[one.change_set_id] = msgspec.structs.replace(one, decided=decision)
    return msgspec.structs.replace(state, held=held), commands


def _late_decision(state: State, event: Decided) -> tuple[State, list[Command]]:
    members = []
    for id_ in event.change_set_ids:
        one = state.held.get(id_)
        if one is None:
            raise UndecidedError(f"change-set {id_} does not wait: herald breaker show lists what does")
        still = holding(state, one.actor, one.account_id, one.verbs)
        if still and event.decision == "deploy":
            raise UndecidedError(f"change-set {id_} is held by {still[0].scope}: close that scope first")
        members.append(one)
    return _decide(state, members, event.decision, event.by)


def _opening(state: State, scope: str, event: ScopeEvent) -> Opening:
    opening = state.open.get(scope)
    found = TABLE[ScopeState.CLOSED if opening is None else opening.state, event]
    if opening is None or isinstance(found, str):
        raise NotOpenError(f"{scope}: {found}; herald breaker shows what is open")
    return opening


def _without(known: Mapping[str, tuple[str, ...]], scope: str) -> dict[str, tuple[str, ...]]:
    """Return who is excused when ``scope`` opens or closes: nothing of before holds for it."""
    left = {k: tuple(s for s in narrower if s != scope) for k, narrower in known.items() if k != scope}
    return {k: narrower for k, narrower in left.items() if narrower}


def _with(state: State, opening: Opening) -> State:
    return msgspec.structs.replace(state, open={**state.open, opening.scope: opening})


def _notify(
    opening: Opening, nth: int, accounts: tuple[str, ...], now: float, audience: tuple[Audience, ...] = ()
) -> Notify:
    again = "" if nth == 0 else f" (reminder {nth}: open for {now - opening.since:.0f} s)"
    return Notify(
        opening.scope,
        nth,
        accounts,
        f"the breaker of {opening.scope} opened{again}: {opening.check}: {opening.says}",
        now,
        audience,
    )
