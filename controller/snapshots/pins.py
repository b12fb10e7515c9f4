"""Pins: what an account's rollback keeps from compiling until somebody has decided on it (DESIGN, idea 2).

A rolled-back account has an operational state that its configured one no longer agrees with. Nothing of what
the rollback undid may come back by riding along with something else: each change-set since the snapshot that
still makes a difference, and each that waited, is kept or dropped by an operator, and then the pin ends.

An owner's own change that only adds something (SAFETY.md, 4) passes under a pin: its candidate is the
operational chunk with that one change, so that nothing else can come along.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.safety.effects import effects, subtractive
from controller.snapshots import store
from controller.snapshots.compile import CompileError, apply
from controller.snapshots.model import ChangeSet
from controller.snapshots.rollback_tables import PinDecisionRow, PinRow, RollbackRow
from controller.store.many import those

LANE = "rollback"
"""The lane of what rollbacks themselves make; nobody else can ask for it."""

OWNER = "customer:"
"""How the actor of an owner's change-set begins."""


def keep_back(session: Session, change_set: ChangeSet, sites: Sequence[str]) -> str | None:
    """Return why ``change_set`` must not compile now, and note that it is to be decided on; None: it may.

    The reason names the rollback and what ends the pin. Raises
    :class:`~controller.snapshots.model.DamagedChunkError`.
    """
    pin = session.get(PinRow, change_set.account_id)
    if pin is None or change_set.lane == LANE:
        return None
    if _passes(session, pin, change_set, sites):
        return None
    key = (pin.rollback_seq, change_set.id)
    if session.get(PinDecisionRow, key) is None:
        session.add(
            PinDecisionRow(
                rollback_seq=pin.rollback_seq, change_set_id=change_set.id, account_id=change_set.account_id
            )
        )
    return why_pinned(session, pin)


def pinned(session: Session, accounts: Collection[str]) -> set[str]:
    """Return those of these accounts that are pinned."""
    return set(those(session, select(PinRow.account_id), PinRow.account_id, accounts))


def why_pinned(session: Session, pin: PinRow) -> str:
    """Say which rollback pinned the account, and what ends it."""
    made = session.get_one(RollbackRow, pin.rollback_seq)
    return (
        f"account {pin.account_id} was rolled back to {made.snapshot_id[:12]} by rollback {made.id} "
        f"({made.reason}): an operator keeps or drops each change-set since: herald pins decide"
    )


def pin_of(session: Session, account_id: str) -> PinRow | None:
    """Return the account's pin, None when it has none."""
    return session.get(PinRow, account_id)


def open_decisions(session: Session, pin: PinRow) -> list[str]:
    """Return the change-sets of a pin that nobody has decided on."""
    rows = select(PinDecisionRow.change_set_id).where(
        PinDecisionRow.rollback_seq == pin.rollback_seq,
        PinDecisionRow.account_id == pin.account_id,
        PinDecisionRow.decision.is_(None),
    )
    return list(session.scalars(rows))


def _passes(session: Session, pin: PinRow, change_set: ChangeSet, sites: Sequence[str]) -> bool:
    """Tell whether it is an owner's, was made after the rollback, and takes nothing away."""
    if not change_set.actor.startswith(OWNER):
        return False
    if session.get(PinDecisionRow, (pin.rollback_seq, change_set.id)) is not None:
        return False
    head = store.head_of(session, change_set.account_id)
    old = None if head is None else store.chunk(session, head)
    try:
        new = apply(old, change_set)
    except CompileError:
        return True  # it fails by itself, and says why
    return not subtractive(effects(old, new, sites))
