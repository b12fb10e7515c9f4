"""What is held, what waits behind it, and what becomes of it. In the caller's transaction.

A held change-set is out of the head and of every later candidate. A later one of the same account that
touches the same object waits behind it, still queued. What is released late undoes nothing that was admitted
since: of an object, the later word counts.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.guard.tables import AssessmentRow, HoldRow, WaitRow
from controller.safety.breaker import Held
from controller.safety.verdict import Verdict
from controller.snapshots import outbox
from controller.snapshots.model import Change, ChangeSet, ObjectKind
from controller.snapshots.outbox import InLine
from controller.snapshots.tables import ChangeSetRow, SnapshotRow
from controller.store.many import those
from controller.store.once import once

REASON_LENGTH = 2000

ObjectName = tuple[ObjectKind, str]


def named(change: Change) -> ObjectName | None:
    """Return the object that a change is about; None for one that does nothing."""
    if change.remove is not None:
        return change.remove
    if change.prefix is not None:
        return ("prefix", change.prefix.id)
    if change.bgp_prefix is not None:
        return ("bgp_prefix", change.bgp_prefix.id)
    return None if change.binding is None else ("binding", change.binding.id)


def objects_of(change_set: ChangeSet) -> frozenset[ObjectName]:
    """Return the objects that a change-set touches."""
    return frozenset(name for change in change_set.changes if (name := named(change)) is not None)


def waiting(session: Session, limit: int) -> list[InLine]:
    """Return the oldest queued change-sets that wait behind nothing, at most ``limit``."""
    return outbox.line(session, limit, besides=select(WaitRow.change_set_id).where(WaitRow.behind != ""))


def judged_before(session: Session, ids: Collection[str]) -> set[str]:
    """Return those of these change-sets that were held, waited behind what was, or have an assessment."""
    return {
        id_
        for column in (HoldRow.change_set_id, WaitRow.change_set_id, AssessmentRow.change_set_id)
        for id_ in those(session, select(column), column, ids)
    }


def hold(session: Session, row: ChangeSetRow, held: Held, verdict: Verdict, now: datetime) -> None:
    """Hold a change-set for what ``verdict`` says; its account is told why, in the same transaction."""
    reason = verdict.reason
    session.merge(
        HoldRow(
            change_set_id=row.id,
            seq=row.seq,
            account_id=row.account_id,
            actor=row.actor,
            checks=sorted({f.check for f in verdict.findings}),
            body=msgspec.json.encode(held),
            reason=reason[:REASON_LENGTH],
            since=now,
            decided=None,
            decided_by=None,
            decided_at=None,
            decided_why="",
        )
    )
    outbox.move(session, row.id, "held", reason)
    session.flush()


def undecided(session: Session, account_id: str | None = None) -> list[HoldRow]:
    """Return what is held and not decided, oldest first; of one account, or of all."""
    query = select(HoldRow).where(HoldRow.decided.is_(None)).order_by(HoldRow.seq)
    if account_id is not None:
        query = query.where(HoldRow.account_id == account_id)
    return list(session.scalars(query))


def undecided_one(session: Session, change_set_id: str) -> HoldRow | None:
    """Return the hold of a change-set that is held and not decided; None when it is not held any more."""
    row = session.get(HoldRow, change_set_id)
    return row if row is not None and row.decided is None else None


def queue(session: Session) -> list[Held]:
    """Return what is held and not decided as the breaker has it, oldest first."""
    return [msgspec.json.decode(row.body, type=Held) for row in undecided(session)]


def note(session: Session, held: Held) -> None:
    """Write down what was decided of one that waits on."""
    session.get_one(HoldRow, held.change_set_id).body = msgspec.json.encode(held)


def of_others(session: Session, account_id: str) -> list[ChangeSet]:
    """Return the held change-sets of an account that are not its own, oldest first.

    What they would do is in the configured state and not in the operational one, and no owner asked for it.
    """
    ids = [h.change_set_id for h in undecided(session, account_id) if not h.actor.startswith("customer:")]
    rows = select(ChangeSetRow).where(ChangeSetRow.id.in_(ids)).order_by(ChangeSetRow.seq)
    return [outbox.decode(row) for row in session.scalars(rows)] if ids else []


def to_be_deployed(session: Session, change_set_id: str) -> HoldRow | None:
    """Return the hold of a change-set that somebody decided to deploy; None when nobody has."""
    row = session.get(HoldRow, change_set_id)
    return row if row is not None and row.decided == "deploy" else None


def in_the_way(session: Session, row: ChangeSetRow, change_set: ChangeSet) -> list[ChangeSetRow]:
    """Return the earlier change-sets of the account that are held, or wait, and touch one of its objects."""
    standing = session.scalars(
        select(ChangeSetRow)
        .where(ChangeSetRow.account_id == row.account_id, ChangeSetRow.seq < row.seq)
        .where(
            ChangeSetRow.id.in_(
                select(HoldRow.change_set_id).where(
                    HoldRow.account_id == row.account_id, HoldRow.decided.is_(None)
                )
            )
            | ChangeSetRow.id.in_(
                select(WaitRow.change_set_id).where(
                    WaitRow.account_id == row.account_id, WaitRow.behind != ""
                )
            )
        )
        .order_by(ChangeSetRow.seq)
    ).all()
    touched = objects_of(change_set)
    return [r for r in standing if not touched.isdisjoint(objects_of(outbox.decode(r)))]


def wait_behind(session: Session, row: ChangeSetRow, first: ChangeSetRow) -> str:
    """Let a change-set wait behind ``first``; returns the reason that it shows."""
    session.merge(WaitRow(change_set_id=row.id, account_id=row.account_id, behind=first.id))
    why = (
        f"it waits behind change-set {first.id} ({first.actor}), which touches the same object and is held: "
        f"{first.reason}"
    )
    outbox.move(session, row.id, "queued", why)
    session.flush()
    return why


def less_overtaken(session: Session, row: ChangeSetRow, change_set: ChangeSet) -> ChangeSet:
    """Return the change-set without the objects that a later one of the account has been admitted for.

    Only what was held, or waited behind what was, can be late. A rollback is nobody's later word.
    """
    if session.get(HoldRow, row.id) is None and session.get(WaitRow, row.id) is None:
        return change_set
    later = session.scalars(
        select(ChangeSetRow)
        .join(SnapshotRow, SnapshotRow.change_set_id == ChangeSetRow.id)
        .where(ChangeSetRow.seq > row.seq, ChangeSetRow.account_id == row.account_id)
    ).all()
    words = [c for c in map(outbox.decode, later) if c.lane != "rollback"]
    overtaken = frozenset[ObjectName]().union(*(objects_of(c) for c in words))
    left = tuple(c for c in change_set.changes if named(c) not in overtaken)
    return msgspec.structs.replace(change_set, changes=left)


def deploy(session: Session, id_: str, by: str, why: str, now: datetime) -> None:
    """Decide that a held change-set is carried out: it is assessed again, but for budgets and breaker."""
    row = session.get_one(HoldRow, id_)
    row.decided, row.decided_by, row.decided_at, row.decided_why = "deploy", by, now, why[:500]
    outbox.move(session, row.change_set_id, "queued", f"to be deployed, by {by}: {why}")


def drop(session: Session, id_: str, by: str, why: str, now: datetime) -> None:
    """Decide that a held change-set is never carried out; what waited behind it is looked at again."""
    row = session.get_one(HoldRow, id_)
    row.decided, row.decided_by, row.decided_at, row.decided_why = "drop", by, now, why[:500]
    fail(session, row.change_set_id, f"dropped by {by}: {why}")


def fail(session: Session, id_: str, why: str) -> None:
    """Record that a change-set is not carried out; what waited behind it is looked at again."""
    outbox.move(session, id_, "failed", why)
    let_go(session, [id_])


def let_go(session: Session, ids: Sequence[str]) -> None:
    """Let what waits behind these change-sets be looked at again."""
    any_behind = select(WaitRow.change_set_id).where(WaitRow.behind != "").limit(1)
    if once(session, WaitRow, "any behind", lambda: session.scalar(any_behind)) is None:
        return
    for row in session.scalars(select(WaitRow).where(WaitRow.behind.in_(ids))).all():
        outbox.move(session, row.change_set_id, "queued", "")
        row.behind = ""
    session.flush()
