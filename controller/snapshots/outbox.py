"""Where an acknowledged write waits for its roll-out: kept in the write's own transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from controller.snapshots.model import ChangeSet, SnapshotError
from controller.snapshots.tables import ChangeSetRow
from controller.timeline.log import note
from controller.timeline.show import Entry

OBJECTS_TOLD = 50
"""How many of a change-set's addresses, and of its removals, the timeline names."""


class DamagedChangeSetError(SnapshotError):
    """A stored change-set does not decode."""


def append(session: Session, change_set: ChangeSet) -> None:
    """Queue ``change_set`` within the caller's transaction; change-sets are taken in this order."""
    now = datetime.now(UTC)
    session.add(
        ChangeSetRow(
            id=change_set.id,
            account_id=change_set.account_id,
            actor=change_set.actor,
            body=msgspec.json.encode(change_set),
            state="queued",
            reason="",
            created_at=now,
            modified_at=now,
        )
    )
    session.flush()
    _tell(session, change_set, "queued", change_set.reason, now)


class InLine(NamedTuple):
    """A change-set that waits: its place in the order, and whose it is."""

    seq: int
    id: str
    account_id: str
    actor: str


def queued(session: Session, limit: int) -> list[ChangeSetRow]:
    """Return the oldest change-sets that wait, at most ``limit``."""
    rows = select(ChangeSetRow).where(ChangeSetRow.state == "queued").order_by(ChangeSetRow.seq).limit(limit)
    return list(session.scalars(rows))


def line(session: Session, limit: int, *, besides: Select[Any]) -> list[InLine]:
    """Return the oldest change-sets that wait, at most ``limit``, without those that ``besides`` selects.

    What they would change is not read: it may be very much.
    """
    columns = select(ChangeSetRow.seq, ChangeSetRow.id, ChangeSetRow.account_id, ChangeSetRow.actor)
    waiting = columns.where(ChangeSetRow.state == "queued", ChangeSetRow.id.not_in(besides))
    return [InLine(*row) for row in session.execute(waiting.order_by(ChangeSetRow.seq).limit(limit))]


def carry(session: Session, change_set_id: str, intents: Sequence[str]) -> None:
    """Let a change-set that is not carried out yet carry more intents; raises as :func:`decode`."""
    row = session.scalars(select(ChangeSetRow).where(ChangeSetRow.id == change_set_id)).one()
    change_set = decode(row)
    row.body = msgspec.json.encode(
        msgspec.structs.replace(change_set, intents=(*change_set.intents, *intents))
    )
    session.flush()


def all_queued(session: Session) -> dict[str, str]:
    """Return the accounts of the change-sets that wait, by change-set, oldest first."""
    rows = select(ChangeSetRow.id, ChangeSetRow.account_id).where(ChangeSetRow.state == "queued")
    return {row.id: row.account_id for row in session.execute(rows.order_by(ChangeSetRow.seq))}


def decode(row: ChangeSetRow) -> ChangeSet:
    """Return a row's change-set; raises :class:`DamagedChangeSetError`."""
    try:
        return msgspec.json.decode(row.body, type=ChangeSet, strict=True)
    except msgspec.MsgspecError as error:
        raise DamagedChangeSetError(
            f"change-set {row.id} does not decode: {error}: not carried out"
        ) from error


def move(session: Session, change_set_id: str, state: str, reason: str) -> None:
    """Set the state of one change-set, and tell the account of a new one; one that is gone is left alone."""
    row = session.scalar(select(ChangeSetRow).where(ChangeSetRow.id == change_set_id))
    if row is not None:
        put(session, row, state, reason)


def put(session: Session, row: ChangeSetRow, state: str, reason: str) -> None:
    """Set the state of a change-set that is at hand, as :func:`move`; nothing, when it has it already."""
    if (row.state, row.reason) == (state, reason[:2000]):
        return
    before, now = row.state, datetime.now(UTC)
    row.state, row.reason, row.modified_at = state, reason[:2000], now
    if state != before:
        try:
            change_set = decode(row)
        except DamagedChangeSetError:
            change_set = ChangeSet(row.id, row.account_id, row.actor, "", "", ())
        _tell(session, change_set, state, reason, now)


def _tell(session: Session, change_set: ChangeSet, state: str, reason: str, now: datetime) -> None:
    """Put a state of a change-set into its account's timeline, with the addresses that it is about."""
    puts = [c.prefix or c.bgp_prefix or c.binding for c in change_set.changes]
    cidrs = list(dict.fromkeys(o.cidr for o in puts if o is not None))
    removes = [list(c.remove) for c in change_set.changes if c.remove is not None]
    note(
        session,
        Entry(
            account_id=change_set.account_id,
            at=now,
            kind="operational",
            type=f"change_set.{state}",
            object_kind="change_set",
            object_id=change_set.id,
            change_set_id=change_set.id,
            actor=change_set.actor,
            reason=reason,
            detail={
                "changes": len(change_set.changes),
                "cidrs": cidrs[:OBJECTS_TOLD],
                "removes": removes[:OBJECTS_TOLD],
            },
        ),
    )
