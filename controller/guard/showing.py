"""The breaker, holds and freezes as the API shows them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.addressing.times import rfc3339
from controller.guard.bodies import ClosedBody, FreezeBody, GroupBody, HoldBody, OpeningBody
from controller.guard.tables import FreezeRow, HoldRow, OpeningRow, WaitRow
from controller.safety import breaker
from controller.safety.breaker import Held, Opening, State

UNASKED = "intents"
"""The check that holds what neither the owner nor two operators asked for."""

MOST_CLOSED = 20


def time(seconds: float) -> str:
    """Return seconds since the epoch in RFC 3339."""
    return rfc3339(datetime.fromtimestamp(seconds, UTC))


def groups(queue: Sequence[Held], unasked: frozenset[str]) -> list[GroupBody]:
    """Return a queue by what is decided on as one; ``unasked``: ids of what nobody asked for."""
    return [
        GroupBody(
            group=name,
            actor=members[0].actor,
            accounts=sorted({h.account_id for h in members}),
            change_sets=[h.change_set_id for h in members],
            prefixes=sum(h.prefixes for h in members),
            unasked=any(h.change_set_id in unasked for h in members),
        )
        for name, members in sorted(breaker.groups(queue).items())
    ]


def opening_body(
    opening: Opening,
    queue: Sequence[Held],
    unasked: frozenset[str],
    now: datetime,
    remind_after: Sequence[int],
) -> OpeningBody:
    """Return an open scope with its queue."""
    hash_ = breaker.queue_hash(queue)
    again = None
    if not opening.answered_by and opening.told <= len(remind_after):
        again = time(opening.since + remind_after[opening.told - 1])
    found = groups(queue, unasked)
    decide = " ".join(f"--decide {g.group!r}=deploy|drop|wait" for g in found)
    return OpeningBody(
        scope=opening.scope,
        check=opening.check,
        says=opening.says,
        since=time(opening.since),
        open_for_s=round(max(0.0, now.timestamp() - opening.since), 3),
        first_harm_at=time(opening.first_harm),
        detected_after_s=round(opening.detection_s, 6),
        told=opening.told,
        next_reminder_at=again,
        answered_by=opening.answered_by,
        except_for=list(opening.except_for),
        queue_hash=hash_,
        groups=found,
        closes=f"herald breaker close {opening.scope} --queue {hash_} {decide}".strip() + " --reason TEXT",
    )


def closed_bodies(session: Session) -> list[ClosedBody]:
    """Return what was closed last, newest first."""
    rows = (
        select(OpeningRow)
        .where(OpeningRow.closed_at.is_not(None))
        .order_by(OpeningRow.closed_at.desc())
        .limit(MOST_CLOSED)
    )
    found = []
    for row in session.scalars(rows):
        opening = msgspec.json.decode(row.body, type=Opening)
        assert row.closed_at is not None
        found.append(
            ClosedBody(
                scope=row.scope,
                since=rfc3339(row.since),
                closed_at=rfc3339(row.closed_at),
                closed_by=row.closed_by or "",
                reason=row.closed_why,
                detected_after_s=round(opening.detection_s, 6),
                decisions=row.closing.get("decisions", {}),
            )
        )
    return found


def hold_bodies(session: Session, rows: Iterable[HoldRow], state: State) -> list[HoldBody]:
    """Return held change-sets, with the open scopes that hold them and what waits behind them."""
    behind: dict[str, list[str]] = {}
    for wait in session.scalars(select(WaitRow).where(WaitRow.behind != "")):
        behind.setdefault(wait.behind, []).append(wait.change_set_id)
    found = []
    for row in rows:
        held = msgspec.json.decode(row.body, type=Held)
        found.append(
            HoldBody(
                change_set_id=row.change_set_id,
                account_id=row.account_id,
                actor=row.actor,
                group=breaker.group_of(held),
                checks=list(row.checks),
                scopes=[o.scope for o in breaker.holding(state, held.actor, held.account_id, held.verbs)],
                reason=row.reason,
                since=rfc3339(row.since),
                prefixes=held.prefixes,
                decided=held.decided,
                unasked=UNASKED in row.checks,
                waiting=sorted(behind.get(row.change_set_id, [])),
            )
        )
    return found


def freeze_body(row: FreezeRow) -> FreezeBody:
    """Return a freeze."""
    return FreezeBody(
        id=row.id,
        scope=row.scope,
        kind=row.kind,
        owner=row.owner,
        reason=row.reason,
        created_at=rfc3339(row.created_at),
        ends_at=rfc3339(row.ends_at),
        lifted_at=rfc3339(row.lifted_at),
        lifted_by=row.lifted_by,
    )
