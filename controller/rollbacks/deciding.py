"""Keep or drop: what becomes of the change-sets that a rollback undid or kept back.

Once all of an account's are decided, in one transaction: what is kept is asked for anew, as a change-set of
its own with the intents that it had; what is dropped leaves the configured state, which is put to what the
operational one is to be; a subtractive half that still waits loses what is kept; and the pin ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal
from uuid import uuid4

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.addressing.errors import Kind, Refusal
from controller.addressing.times import rfc3339
from controller.addressing.writes import Write
from controller.rollbacks.configured import put_back
from controller.rollbacks.undone import WAITING, Key, decoded, key_of, unhold
from controller.snapshots import outbox, pins
from controller.snapshots import store as snapshots
from controller.snapshots.compile import CompileError, validate
from controller.snapshots.model import (
    BgpPrefixObject,
    BindingObject,
    Change,
    ChangeSet,
    Chunk,
    ChunkHash,
    ChunkObject,
    PrefixObject,
)
from controller.snapshots.objects import Objects, chunk_of, objects_of
from controller.snapshots.rollback_tables import PinDecisionRow, PinRow, RollbackAccountRow, RollbackRow
from controller.snapshots.tables import ChangeSetRow, SnapshotEntryRow, SnapshotRow

Decision = Literal["keep", "drop"]


def decide(write: Write, account_id: str, decisions: Mapping[str, Decision]) -> PinRow | None:
    """Note decisions on a pinned account's change-sets; returns the pin, None when it has ended by them."""
    session = write.session
    pin = pins.pin_of(session, account_id)
    if pin is None:
        raise Refusal(Kind.NOT_PINNED, f"account {account_id} is not pinned: there is nothing to decide")
    for id_, decision in sorted(decisions.items()):
        row = session.get(PinDecisionRow, (pin.rollback_seq, id_))
        if row is None or row.account_id != account_id:
            raise Refusal(
                Kind.NOT_PINNED,
                f"change-set {id_} is none that rollback of {account_id} left to decide: see its pin",
                f"/decisions/{id_}",
            )
        row.decision, row.decided_by, row.decided_at = decision, write.caller.actor, write.now
        write.record(decision, "pin", id_, account_id)
    session.flush()
    if pins.open_decisions(session, pin):
        return pin
    _settle(write, pin)
    return None


def _settle(write: Write, pin: PinRow) -> None:
    session, account_id = write.session, pin.account_id
    made = session.get_one(RollbackRow, pin.rollback_seq)
    of_account = session.get_one(RollbackAccountRow, (pin.rollback_seq, account_id))
    decided = _decided(session, pin)
    kept = _rebased(session, of_account, [row for row, decision in decided if decision == "keep"], decided)
    target = objects_of(snapshots.chunk(session, ChunkHash(of_account.to_hash)))
    final = _with(target, [change for _, changes in kept for change in changes])
    try:
        validate(chunk_of(account_id, final))
    except CompileError as error:
        raise Refusal(
            Kind.NOT_IN_THAT_STATE,
            f"these decisions do not stand together: {error}; decide otherwise",
            "/decisions",
        ) from error
    touched = {k for row, _ in decided for c in decoded(row).changes if (k := key_of(c)) is not None}
    touched -= _overtaken(session, made, account_id, decided)
    _release(write, of_account, {k for _, changes in kept for c in changes if (k := key_of(c)) is not None})
    for row, changes in kept:
        _ask_anew(write, row, changes, made)
    for row, decision in decided:
        if decision == "drop" and row.state in WAITING:
            outbox.move(
                session, row.id, "failed", f"dropped by {write.caller.actor} after rollback {made.id}"
            )
    put_back(write, account_id, touched, final)
    session.delete(pin)
    write.record("end", "pin", made.id, account_id, kept=len(kept), dropped=len(decided) - len(kept))


def _decided(session: Session, pin: PinRow) -> list[tuple[ChangeSetRow, str]]:
    """Return the pin's change-sets in their order, each with what was decided."""
    rows = (
        select(ChangeSetRow, PinDecisionRow.decision)
        .join(PinDecisionRow, PinDecisionRow.change_set_id == ChangeSetRow.id)
        .where(PinDecisionRow.rollback_seq == pin.rollback_seq, PinDecisionRow.account_id == pin.account_id)
        .order_by(ChangeSetRow.seq)
    )
    return [(row, decision or "drop") for row, decision in session.execute(rows)]


# -- what is kept -------------------------------------------------------------------------------------


def _rebased(
    session: Session,
    of_account: RollbackAccountRow,
    kept: Sequence[ChangeSetRow],
    decided: Sequence[tuple[ChangeSetRow, str]],
) -> list[tuple[ChangeSetRow, tuple[Change, ...]]]:
    """Return what each kept change-set asked for, and nothing that another one had put there before it.

    A change carries the whole object: of one that is there, only the fields that this change-set changed are
    taken over, so that what was dropped does not ride along.
    """
    current = objects_of(snapshots.chunk(session, ChunkHash(of_account.to_hash)))
    latest = {} if of_account.from_hash is None else _objects(session, of_account.from_hash)
    found: list[tuple[ChangeSetRow, tuple[Change, ...]]] = []
    for row, _ in decided:
        made = decoded(row)
        entry = session.scalar(
            select(SnapshotEntryRow)
            .join(SnapshotRow, SnapshotRow.seq == SnapshotEntryRow.snapshot_seq)
            .where(SnapshotRow.change_set_id == row.id, SnapshotEntryRow.account_id == row.account_id)
        )
        before = latest
        if entry is not None:
            before = {} if entry.from_hash is None else _objects(session, entry.from_hash)
        if row in kept:
            changes = tuple(_rebase(change, before, current) for change in made.changes)
            # Removing what is not there any more is nothing left to ask for.
            there = tuple(c for c in changes if c.remove is None or c.remove in current)
            current = _with(current, there)
            found.append((row, there))
        if entry is None:
            latest = _with(latest, made.changes)
    return found


def _rebase(change: Change, before: Objects, current: Objects) -> Change:
    put = change.prefix or change.bgp_prefix or change.binding
    key = key_of(change)
    if put is None or key is None:
        return change
    was, here = before.get(key), current.get(key)
    if was is None or here is None or type(was) is not type(put) or type(here) is not type(put):
        return change
    changed = {
        name: getattr(put, name) for name in put.__struct_fields__ if getattr(put, name) != getattr(was, name)
    }
    return _change(msgspec.structs.replace(here, **changed))


def _change(thing: ChunkObject) -> Change:
    if isinstance(thing, PrefixObject):
        return Change(prefix=thing)
    return Change(binding=thing) if isinstance(thing, BindingObject) else Change(bgp_prefix=thing)


def _with(objects: Objects, changes: Sequence[Change]) -> Objects:
    """Return the objects with changes applied; what is not there is not removed."""
    found = dict(objects)
    for change in changes:
        if change.remove is not None:
            found.pop(change.remove, None)
            continue
        key = key_of(change)
        put: PrefixObject | BgpPrefixObject | BindingObject | None = (
            change.prefix or change.bgp_prefix or change.binding
        )
        if key is not None and put is not None:
            found[key] = put
    return found


def _objects(session: Session, hash_: str) -> Objects:
    found: Chunk = snapshots.chunk(session, ChunkHash(hash_))
    return objects_of(found)


def _ask_anew(write: Write, row: ChangeSetRow, changes: tuple[Change, ...], made: RollbackRow) -> None:
    """Queue what is kept in the name of who asked for it, with the intents that it carried."""
    old = decoded(row)
    new = msgspec.structs.replace(
        old,
        id=uuid4().hex,
        at=rfc3339(write.now),
        changes=changes,
        after=None,  # what it waited for was undone, too: it is taken apart anew
        reason=f"kept by {write.caller.actor} after rollback {made.id}: {old.reason}",
    )
    if changes:
        write.queue(new)
    if row.state in WAITING:
        why = f"kept after rollback {made.id}: " + (f"asked anew as {new.id}" if changes else "it is so")
        outbox.move(write.session, row.id, "failed", why)


# -- what is left of the rollback ---------------------------------------------------------------------


def _release(write: Write, of_account: RollbackAccountRow, kept: set[Key]) -> None:
    """Take what is kept out of a subtractive half that still waits."""
    session = write.session
    if of_account.subtractive_id is None or not kept:
        return
    row = session.scalar(select(ChangeSetRow).where(ChangeSetRow.id == of_account.subtractive_id))
    if row is None or row.state not in WAITING:
        return
    half = decoded(row)
    left = tuple(c for c in half.changes if key_of(c) not in kept)
    if left == half.changes:
        return
    of_account.subtractive_id = None
    if left:
        new: ChangeSet = msgspec.structs.replace(half, id=uuid4().hex, changes=left, at=rfc3339(write.now))
        write.queue(new)
        of_account.subtractive_id = new.id
    unhold(session, [row.id])
    outbox.move(session, row.id, "failed", "replaced: a part of what it would have taken was kept")


def _overtaken(
    session: Session, made: RollbackRow, account_id: str, decided: Sequence[tuple[ChangeSetRow, str]]
) -> set[Key]:
    """Return the objects that the account's owner has asked for since the rollback: his word counts."""
    ids = {row.id for row, _ in decided}
    later = select(ChangeSetRow).where(
        ChangeSetRow.account_id == account_id, ChangeSetRow.created_at > made.at
    )
    sets = [decoded(row) for row in session.scalars(later) if row.id not in ids]
    return {key for s in sets if s.lane != pins.LANE for c in s.changes if (key := key_of(c)) is not None}
