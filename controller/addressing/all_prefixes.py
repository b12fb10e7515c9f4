"""The prefixes of all accounts, for operators and tasks: a list that says what it was asked for.

On 2026-02-20 a list took a flag without a value for "not asked", and answered with everything. Here the
flag is a boolean or the request is refused, the answer states its selector and how many match it, and a
delete that is fed from it must repeat both.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from controller.addressing import rows
from controller.addressing.auth import CallerDep
from controller.addressing.context import ContextDep
from controller.addressing.envelope import json_response
from controller.addressing.life_bodies import PrefixPage
from controller.addressing.tables import PrefixRow
from controller.addressing.times import rfc3339
from controller.addressing.who import kept_to, require_staff

router = APIRouter(prefix="/herald/v1/prefixes", tags=["prefixes"])


@router.get("", response_model=PrefixPage)
def list_all_prefixes(
    *,
    caller: CallerDep,
    context: ContextDep,
    pending_delete: Annotated[
        bool | None, Query(description="true: only those that their owners want removed; false: the others.")
    ] = None,
    account_id: Annotated[str | None, Query(min_length=1, max_length=32)] = None,
    after: Annotated[
        str | None, Query(min_length=1, max_length=32, description="Those after this id: `next` of a page.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Prefixes in the order of their ids; tombstones are left out."""
    require_staff(caller)
    account_id = kept_to(caller, account_id)
    wanted = selected(pending_delete, account_id)
    with context.store.read() as session:
        query = select(PrefixRow).where(*wanted).order_by(PrefixRow.id).limit(limit + 1)
        if after is not None:
            query = query.where(PrefixRow.id > after)
        found = session.scalars(query).all()
        shown = found[:limit]
        advertised = {
            b.prefix_id for b in rows.bgp_prefixes_in(session, [p.id for p in shown]) if b.advertised
        }
        total = count_selected(session, wanted)
    return json_response(
        {
            "selector": {"pending_delete": pending_delete, "account_id": account_id},
            "total": total,
            "result": [_line(p, p.id in advertised) for p in shown],
            "next": shown[-1].id if len(found) > limit else None,
        }
    )


def selected(pending_delete: bool | None, account_id: str | None) -> list[ColumnElement[bool]]:
    """Return the conditions of a selector; None: not asked."""
    wanted: list[ColumnElement[bool]] = [PrefixRow.deleted_at.is_(None)]
    if pending_delete is not None:
        pending = PrefixRow.pending_delete_at
        wanted.append(pending.is_not(None) if pending_delete else pending.is_(None))
    if account_id is not None:
        wanted.append(PrefixRow.account_id == account_id)
    return wanted


def count_selected(session: Session, wanted: list[ColumnElement[bool]]) -> int:
    """Return how many prefixes meet the conditions now."""
    return session.scalar(select(func.count()).select_from(PrefixRow).where(*wanted)) or 0


def _line(row: PrefixRow, advertised: bool) -> dict[str, Any]:
    return {
        "id": row.id,
        "account_id": row.account_id,
        "cidr": row.cidr,
        "asn": row.asn,
        "approved": "V" if row.approved else "P",
        "advertised": advertised,
        "pending_delete": row.pending_delete_at is not None,
        "pending_delete_at": rfc3339(row.pending_delete_at),
        "created_at": rfc3339(row.created_at),
        "modified_at": rfc3339(row.modified_at),
    }
