"""Lets a held change-set carry the intent of who wants it after all: its owner, or two operators.

In the caller's write; a decision alone is nobody's intent (SAFETY.md, 2).
"""

from __future__ import annotations

from sqlalchemy import select

from controller.addressing.errors import Kind, Refusal
from controller.addressing.life_policy import after
from controller.addressing.subtractive import INTENT_POINTER, refuse_locked
from controller.addressing.writes import Write
from controller.guard.admission import compiled
from controller.safety.intents import needed, uncovered
from controller.snapshots import outbox
from controller.snapshots.model import PrefixObject
from controller.snapshots.objects import objects_of
from controller.snapshots.tables import ChangeSetRow


def let_carry(write: Write, change_set_id: str) -> None:
    """Add the intents that a held change-set lacks, of the owner who calls, or the one that is named.

    Refused when a withdrawal lock stands on what it takes away, when an operator names no intent although
    nobody asked for it, or names one that does not cover it. Raises
    :class:`~controller.snapshots.model.SnapshotError` when it does not fit any more.
    """
    session, context, caller = write.session, write.context, write.caller
    row = session.scalars(select(ChangeSetRow).where(ChangeSetRow.id == change_set_id)).one()
    found = compiled(session, outbox.decode(row), context.sites, context.intents.public_keys, write.now)
    lost = {e.cidr for e in found.losses}
    refuse_locked(
        session,
        {
            thing.id if isinstance(thing, PrefixObject) else thing.prefix_id
            for thing in objects_of(found.old).values()
            if thing.cidr in lost
        },
    )
    unasked = found.unasked
    if not unasked:
        return
    if caller.role == "customer":
        texts = [
            context.intents.sign(
                row.account_id,
                kind,
                prefixes,
                asked_by=(caller.token_id,),
                sites=sites,
                generation=found.old_hash,
                now=write.now,
                expires_at=after(write.now, context.life.write_intent_s),
            )
            for kind, prefixes, sites in needed(unasked, context.sites)
        ]
        outbox.carry(session, change_set_id, texts)
        return
    named = write.named_intent
    if not named.is_named:
        raise Refusal(
            Kind.INTENT_NEEDED,
            f"change-set {change_set_id} takes away what nobody asked for: name the intent of two operators "
            f"(herald intents add, herald intents confirm), or let the owner of {row.account_id} decide",
            INTENT_POINTER,
        )
    text, intent = named.look()
    missing = uncovered([intent], row.account_id, unasked)
    if missing:
        raise Refusal(
            Kind.INTENT_DOES_NOT_COVER,
            f"the intent does not cover that change-set {change_set_id} would {missing[0].verb} "
            f"{missing[0].cidr} at {missing[0].site}",
            INTENT_POINTER,
        )
    named.use(change_set_id)
    outbox.carry(session, change_set_id, [text])
