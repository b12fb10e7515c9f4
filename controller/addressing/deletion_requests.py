"""An owner asks for a prefix to be removed: the one thing that lets a clean-up remove it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from controller.addressing import rows
from controller.addressing.auth import CallerDep
from controller.addressing.context import AccountDep, ContextDep
from controller.addressing.description import refuses
from controller.addressing.envelope import json_response
from controller.addressing.errors import Kind, Refusal
from controller.addressing.life_bodies import Because, DeletionRequestBody, PathId
from controller.addressing.life_policy import after
from controller.addressing.life_tables import DeletionRequestRow
from controller.addressing.tables import PrefixRow
from controller.addressing.times import rfc3339
from controller.addressing.who import require_owner
from controller.addressing.writes import Write, WriterDep
from controller.bgp import Prefix
from controller.snapshots import store as snapshots

router = APIRouter(
    prefix="/herald/v1/accounts/{account_id}/prefixes/{prefix_id}/deletion", tags=["deletion_requests"]
)


@router.get("", response_model=DeletionRequestBody)
def get_deletion_request(account: AccountDep, prefix_id: PathId, context: ContextDep) -> Response:
    """Whether the owner wants this prefix removed, and why."""
    with context.store.read() as session:
        prefix = rows.the_prefix(session, account, prefix_id)
        return json_response(_body(prefix, session.get(DeletionRequestRow, prefix.id)))


@router.put("", response_model=DeletionRequestBody)
def put_deletion_request(
    account: AccountDep, prefix_id: PathId, body: Because, caller: CallerDep, writer: WriterDep
) -> Response:
    """Ask for the removal of a prefix with all that stands on it; asking again renews the request.

    Nothing is removed by this: a clean-up does it once the prefix is withdrawn, and for a time it can be
    undone.
    """
    require_owner(caller, account, "ask for a prefix to be removed")

    def work(write: Write) -> dict[str, Any]:
        prefix = rows.the_prefix(write.session, account, prefix_id)
        write.match(prefix)
        write.takes_from(account, prefix.id)
        expires_at = after(write.now, write.context.life.request_s)
        text = write.context.intents.sign(
            account,
            "delete",
            [Prefix(prefix.cidr)],
            asked_by=(caller.token_id,),
            sites=None,
            generation=snapshots.head_of(write.session, account),
            now=write.now,
            expires_at=expires_at,
        )
        row = write.session.merge(
            DeletionRequestRow(
                prefix_id=prefix.id,
                account_id=account,
                reason=body.reason,
                requested_by=caller.token_id,
                requested_at=write.now,
                expires_at=expires_at,
                text=text,
            )
        )
        prefix.pending_delete_at = write.now
        write.record("ask-deletion", "prefix", prefix.id, account, cidr=prefix.cidr, why=body.reason)
        write.shows(prefix)
        return _body(prefix, row)

    return writer.run(work)


@router.delete("", response_model=DeletionRequestBody, responses=refuses(Kind.NOT_PENDING_DELETE))
def take_back_deletion_request(
    account: AccountDep, prefix_id: PathId, caller: CallerDep, writer: WriterDep
) -> Response:
    """Take the request back; operators may, too: keeping a prefix harms nobody."""

    def work(write: Write) -> dict[str, Any]:
        prefix = rows.the_prefix(write.session, account, prefix_id)
        write.match(prefix)
        if prefix.pending_delete_at is None:
            raise Refusal(
                Kind.NOT_PENDING_DELETE, f"nobody asked for {prefix.cidr} to be removed: it stays anyway"
            )
        end_request(write, prefix)
        write.record("take-back-deletion", "prefix", prefix.id, account, cidr=prefix.cidr)
        write.shows(prefix)
        return _body(prefix, None)

    return writer.run(work)


def end_request(write: Write, prefix: PrefixRow) -> None:
    """Forget that the owner wants ``prefix`` removed, if it does."""
    prefix.pending_delete_at = None
    row = write.session.get(DeletionRequestRow, prefix.id)
    if row is not None:
        write.session.delete(row)


def _body(prefix: PrefixRow, row: DeletionRequestRow | None) -> dict[str, Any]:
    return {
        "prefix_id": prefix.id,
        "cidr": prefix.cidr,
        "pending_delete": prefix.pending_delete_at is not None,
        "reason": None if row is None else row.reason,
        "requested_by": None if row is None else row.requested_by,
        "requested_at": None if row is None else rfc3339(row.requested_at),
        "expires_at": None if row is None else rfc3339(row.expires_at),
    }
