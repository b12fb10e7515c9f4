"""The one place where a write answers for what it takes away: locks first, then intents (SAFETY.md, 2).

Every write comes through here at its end, whatever route it came by, judged by its effects:

- A withdrawal lock on a prefix that loses something refuses the whole write, whoever asks.
- So does the pin of an account that was rolled back, until all of that has been decided on.
- An owner's write carries signed intents that cover exactly what nothing else that it carries covers; so does
  that of an account to which the owner delegated the prefixes, and says so.
- Somebody else's write carries what its route found (an owner's request, a transfer), and the intent of two
  operators when it names one, which must then cover all the rest. Without one it is still accepted by this
  version: the breaker and the agents are to refuse it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.addressing.auth import Caller
from controller.addressing.before import before
from controller.addressing.context import Context
from controller.addressing.delegation_tables import DelegationRow
from controller.addressing.errors import Kind, Refusal
from controller.addressing.intents import IntentService
from controller.addressing.life_policy import after
from controller.addressing.life_tables import IntentRequestRow, WithdrawalLockRow
from controller.addressing.tables import PrefixRow
from controller.bgp import Prefix, covers
from controller.guard import freezes, holds
from controller.safety.effects import Effect
from controller.safety.freeze import frozen
from controller.safety.intents import Intent, IntentError, needed, uncovered
from controller.safety.subtraction import Base, subtraction
from controller.snapshots import pins
from controller.snapshots import store as snapshots
from controller.snapshots.model import Change
from controller.snapshots.objects import objects_of

INTENT_POINTER = "/header/Herald-Intent"


@dataclass(frozen=True, slots=True)
class Taken:
    """One account's part of a write. ``takes_from``: prefixes that lose what no change shows.

    ``named``: the objects that the caller asks to have taken away, in so many words.
    """

    account_id: str
    changes: Sequence[Change]
    takes_from: frozenset[str]
    change_set_id: str
    named: frozenset[str] = frozenset()


class NamedIntent:
    """The intent of two operators that a write names by its header, used once; None: it names none.

    ``session`` and ``now`` are the write's own.
    """

    def __init__(
        self, session: Session, service: IntentService, intent_id: str | None, now: datetime
    ) -> None:
        self.session = session
        self._service = service
        self._id = intent_id
        self.now = now
        self._used = False

    @property
    def is_named(self) -> bool:
        """Whether the caller names one."""
        return self._id is not None

    def look(self) -> tuple[str, Intent]:
        """Return text and record; refused unless it is signed, holds now, and was never used."""
        row = self._row()
        if row is None or row.text is None:
            raise Refusal(
                Kind.INTENT_NOT_USABLE,
                f"no signed intent has the id {self._id!r}: two operators make one",
                INTENT_POINTER,
            )
        if row.used_at is not None:
            raise Refusal(
                Kind.INTENT_NOT_USABLE, f"intent {row.id} was used already: it works once", INTENT_POINTER
            )
        try:
            return row.text, self._service.check(row.text, self.now)
        except IntentError as error:
            raise Refusal(Kind.INTENT_NOT_USABLE, f"intent {row.id}: {error}", INTENT_POINTER) from error

    def use(self, change_set_id: str | None) -> None:
        """Note in this write's transaction that it was used, and for which change-set."""
        row = self._row()
        if row is not None:
            row.used_at, row.used_for = self.now, change_set_id
            self._used = True

    def must_be_used(self) -> None:
        """Refuse a write that names an intent and takes nothing away: it would be spent on nothing."""
        if not self.is_named or self._used:
            return
        row = self._row()
        if row is None or row.used_at != self.now:
            raise Refusal(
                Kind.INTENT_NOT_USABLE,
                "this write takes nothing away that needs an intent: leave the header out",
                INTENT_POINTER,
            )

    def _row(self) -> IntentRequestRow | None:
        return None if self._id is None else self.session.get(IntentRequestRow, self._id)


def answer_for(
    taken: Taken,
    carried: Sequence[str],
    named: NamedIntent,
    context: Context,
    caller: Caller,
) -> list[str]:
    """Return the texts of the intents that the account's change-set must carry beside ``carried``.

    Refused when a lock stands on what is taken away, or the intent that is named does not cover it.
    """
    session, now = named.session, named.now
    generation, bases = _bases(session, taken)
    found = subtraction(taken.changes, bases, context.sites)
    refuse_locked(session, found.prefix_ids | taken.takes_from)
    if found.effects or found.prefix_ids or taken.takes_from:
        refuse_pinned(session, taken.account_id)
        refuse_frozen(named, taken, found.effects, caller)
    left = uncovered(_checked(carried, context.intents, now), taken.account_id, found.effects)
    if not left:
        return []
    delegated = caller.account_id != taken.account_id
    if caller.role == "customer":
        left = _less_what_others_want(session, taken, bases[0], left, context.sites)
        if not left:
            return []
    if caller.role == "customer" and (not delegated or _are_delegated(session, taken, caller, left)):
        return [
            context.intents.sign(
                taken.account_id,
                kind,
                prefixes,
                asked_by=(caller.token_id,),
                sites=sites,
                generation=generation,
                now=now,
                expires_at=after(now, context.life.write_intent_s),
                delegated=delegated,
            )
            for kind, prefixes, sites in needed(left, context.sites)
        ]
    if not named.is_named:
        return []
    text, intent = named.look()
    missing = uncovered([intent], taken.account_id, left)
    if missing:
        raise Refusal(
            Kind.INTENT_DOES_NOT_COVER,
            f"intent is for account {intent.account_id}, to {intent.kind} {', '.join(intent.prefixes[:3])}: "
            f"this would {_said(missing[0])} of account {taken.account_id}",
            INTENT_POINTER,
        )
    named.use(taken.change_set_id)
    return [text]


def locks_on(session: Session, prefix_ids: Collection[str]) -> dict[str, WithdrawalLockRow]:
    """Return the withdrawal locks on these prefixes, by the prefix's id."""
    if not prefix_ids:
        return {}
    found = session.scalars(
        select(WithdrawalLockRow).where(WithdrawalLockRow.prefix_id.in_(sorted(prefix_ids)))
    )
    return {lock.prefix_id: lock for lock in found}


def lock_refusal(lock: WithdrawalLockRow, cidr: str, pointer: str | None = None) -> Refusal:
    """Return the refusal of a write that a lock forbids."""
    return Refusal(
        Kind.WITHDRAWAL_LOCKED,
        f"withdrawal lock {lock.id} stands on {cidr}: its owner takes it away first, with its key or code",
        pointer,
    )


def refuse_locked(session: Session, prefix_ids: Collection[str]) -> None:
    """Refuse (423) to take anything from a locked prefix, naming the lock."""
    for lock in locks_on(session, prefix_ids).values():
        prefix = session.get_one(PrefixRow, lock.prefix_id)
        raise lock_refusal(lock, prefix.cidr)


def refuse_pinned(session: Session, account_id: str) -> None:
    """Refuse (423) to take anything from an account that was rolled back, until that has been decided on."""
    pin = pins.pin_of(session, account_id)
    if pin is not None:
        raise Refusal(Kind.ROLLED_BACK, f"{pins.why_pinned(session, pin)}; what adds something passes")


def refuse_frozen(named: NamedIntent, taken: Taken, effects: Sequence[Effect], caller: Caller) -> None:
    """Refuse (423) to take away what somebody has frozen, naming the freeze."""
    now = named.now
    found = frozen(
        freezes.values(named.session, now),
        effects,
        caller.actor,
        taken.account_id,
        now.timestamp(),
        owner=caller.role == "customer",
    )
    if found is not None:
        raise Refusal(Kind.FROZEN, found.says)


def _bases(session: Session, taken: Taken) -> tuple[str | None, list[Base]]:
    """Return the account's generation, and the states that the write may meet.

    The operational one may be behind the configured one: what was asked for a moment ago is still queued.
    """
    generation = snapshots.head_of(session, taken.account_id)
    bases: list[Base] = [before(session, taken.account_id)]
    if generation is not None and taken.changes:
        bases.append(objects_of(snapshots.chunk(session, generation)))
    return generation, bases


def _less_what_others_want(
    session: Session, taken: Taken, seen: Base, effects: Sequence[Effect], sites: Sequence[str]
) -> tuple[Effect, ...]:
    """Return the effects that the caller asks for, without what somebody else's held change-sets would do.

    What they ask for is configured already, and rides along with each change of the same object; the owner
    who changes something else of it has not asked for that. Whoever names it has.
    """
    others = {
        name[1]
        for change_set in holds.of_others(session, taken.account_id)
        for name in holds.objects_of(change_set)
    } - taken.named
    if not others:
        return tuple(effects)
    mine = [c for c in taken.changes if (name := holds.named(c)) is None or name[1] not in others]
    operational = _operational(session, taken.account_id)
    asked = set(subtraction(taken.changes, [seen], sites).effects)
    asked |= set(subtraction(mine, [operational], sites).effects)
    return tuple(e for e in effects if e in asked)


def _operational(session: Session, account_id: str) -> Base:
    generation = snapshots.head_of(session, account_id)
    return {} if generation is None else objects_of(snapshots.chunk(session, generation))


def _are_delegated(session: Session, taken: Taken, caller: Caller, effects: Sequence[Effect]) -> bool:
    """Tell whether all that is taken away lies in what the owner delegated to the caller's account."""
    found = session.scalars(
        select(DelegationRow.cidr).where(
            DelegationRow.account_id == taken.account_id,
            DelegationRow.delegated_account_id == caller.account_id,
            DelegationRow.deleted_at.is_(None),
        )
    ).all()
    return all(any(covers(Prefix(cidr), e.cidr) for cidr in found) for e in effects)


def _checked(texts: Iterable[str], service: IntentService, now: datetime) -> list[Intent]:
    """Return the intents that a route lets the write carry; one that no longer holds refuses it."""
    try:
        return [service.check(text, now) for text in texts]
    except IntentError as error:
        raise Refusal(Kind.INTENT_NOT_USABLE, str(error)) from error


def _said(effect: Effect) -> str:
    verbs = {"more-prepend": "prepend more to", "reorigin": "change the origin of"}
    return f"{verbs.get(effect.verb, effect.verb)} {effect.cidr} at {effect.site}"
