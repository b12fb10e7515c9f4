"""Deletions of an account's prefixes: what was taken, until when it can come back, and bringing it back."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy import select

from controller.addressing.context import AccountDep, ContextDep
from controller.addressing.description import refuses
from controller.addressing.envelope import json_response
from controller.addressing.errors import Kind, Refusal
from controller.addressing.life_bodies import DeletionBody, DeletionPage, PathId
from controller.addressing.life_tables import DeletionRow
from controller.addressing.newest import AfterQuery, LimitQuery, newest_page, page_body
from controller.addressing.tables import PrefixRow
from controller.addressing.times import rfc3339
from controller.addressing.tombstones import bring_back, deletion_body
from controller.addressing.writes import Write, WriterDep

router = APIRouter(prefix="/herald/v1/accounts/{account_id}", tags=["deletions"])


@router.get("/deletions", response_model=DeletionPage)
def list_deletions(
    account: AccountDep, context: ContextDep, after: AfterQuery = None, limit: LimitQuery = 100
) -> Response:
    """All deletions of the account's prefixes, newest first, with the end of their grace."""
    query = select(DeletionRow).where(DeletionRow.account_id == account)
    with context.store.read() as session:
        found, following = newest_page(session, query, (DeletionRow.at, DeletionRow.id), after, limit)
    return json_response(page_body(found, following, deletion_body))


@router.post(
    "/prefixes/{prefix_id}/undelete",
    response_model=DeletionBody,
    responses=refuses(Kind.GRACE_IS_OVER, Kind.REVOKED, Kind.ALREADY_EXISTS),
)
def undelete_prefix(account: AccountDep, prefix_id: PathId, writer: WriterDep) -> Response:
    """Bring a prefix back with exactly what its deletion took; it is withdrawn, as it was."""

    def work(write: Write) -> dict[str, Any]:
        prefix = write.session.get(PrefixRow, prefix_id)
        if prefix is None or prefix.account_id != account or prefix.deletion_id is None:
            raise Refusal(Kind.NOT_FOUND, f"account {account} has no deleted prefix {prefix_id!r}")
        write.match(prefix)
        deletion = write.session.get_one(DeletionRow, prefix.deletion_id)
        if write.now >= deletion.grace_ends_at:
            raise Refusal(
                Kind.GRACE_IS_OVER,
                f"{prefix.cidr} could come back until {rfc3339(deletion.grace_ends_at)}: have it purged, and "
                "onboard it anew",
            )
        bring_back(write, deletion)
        write.shows(prefix)
        return deletion_body(deletion)

    return writer.run(work)
