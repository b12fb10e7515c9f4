"""Transfers: a prefix moves to another account, once its owner offers it and the other accepts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from fastapi import APIRouter, Response
from sqlalchemy import or_, select

from controller.addressing import map_uses, reach, rows, rules
from controller.addressing.auth import CallerDep
from controller.addressing.context import AccountDep, ContextDep
from controller.addressing.deletion_requests import end_request
from controller.addressing.description import refuses
from controller.addressing.envelope import json_response
from controller.addressing.errors import Kind, Refusal
from controller.addressing.life_bodies import CreateTransfer, PathId, TransferBody, TransferPage
from controller.addressing.life_policy import after as moment_after
from controller.addressing.life_tables import TransferRow
from controller.addressing.newest import AfterQuery, LimitQuery, newest_page, page_body
from controller.addressing.revocations import revoke
from controller.addressing.tables import AccountRow, BgpPrefixRow, BindingRow, PrefixRow
from controller.addressing.times import rfc3339
from controller.addressing.who import require_owner
from controller.addressing.writes import Write, WriterDep
from controller.bgp import Prefix
from controller.safety.intents import IntentError
from controller.snapshots import store as snapshots
from controller.snapshots.model import Change

router = APIRouter(prefix="/herald/v1/accounts/{account_id}", tags=["transfers"])


@router.get("/transfers", response_model=TransferPage)
def list_transfers(
    account: AccountDep, context: ContextDep, after: AfterQuery = None, limit: LimitQuery = 100
) -> Response:
    """What the account offers, and what is offered to it, newest first."""
    query = select(TransferRow).where(
        or_(TransferRow.account_id == account, TransferRow.to_account_id == account)
    )
    now = datetime.now(UTC)
    with context.store.read() as session:
        key = (TransferRow.created_at, TransferRow.id)
        found, following = newest_page(session, query, key, after, limit)
    return json_response(page_body(found, following, lambda row: _body(row, now)))


@router.post(
    "/prefixes/{prefix_id}/transfers",
    response_model=TransferBody,
    responses=refuses(
        Kind.UNKNOWN_PREFIX,
        Kind.PREFIX_NOT_APPROVED,
        Kind.STILL_ADVERTISED,
        Kind.BINDING_IN_USE,
        Kind.NOT_IN_THAT_STATE,
    ),
)
def create_transfer(
    account: AccountDep, prefix_id: PathId, body: CreateTransfer, caller: CallerDep, writer: WriterDep
) -> Response:
    """Offer a withdrawn prefix to another account; nothing moves until that account accepts."""
    require_owner(caller, account, "offer a prefix")

    def work(write: Write) -> dict[str, Any]:
        prefix = rows.the_prefix(write.session, account, prefix_id)
        write.match(prefix)
        write.takes_from(account, prefix.id)
        rules.is_approved(Prefix(prefix.cidr), prefix.approved)
        _is_withdrawn(rows.bgp_prefixes_of(write.session, account, prefix.id))
        if body.to_account_id == account or write.session.get(AccountRow, body.to_account_id) is None:
            raise Refusal(
                Kind.UNKNOWN_PREFIX, f"there is no other account {body.to_account_id!r}", "/to_account_id"
            )
        _is_in_no_map(write, prefix)
        if prefix.pending_delete_at is not None:
            raise Refusal(
                Kind.NOT_IN_THAT_STATE, f"{prefix.cidr} is asked to be removed: take that back first"
            )
        _end_old_offer(write, prefix)
        expires_at = moment_after(write.now, write.context.life.request_s)
        bound = [Prefix(b.cidr) for b in rows.bindings_of(write.session, account, prefix.id)]
        row = TransferRow(
            id=uuid4().hex,
            account_id=account,
            to_account_id=body.to_account_id,
            prefix_id=prefix.id,
            cidr=prefix.cidr,
            state="offered",
            reason=body.reason,
            text=write.context.intents.sign(
                account,
                "unbind",
                bound or [Prefix(prefix.cidr)],
                asked_by=(caller.token_id,),
                sites=None,
                generation=snapshots.head_of(write.session, account),
                now=write.now,
                expires_at=expires_at,
            ),
            created_by=caller.token_id,
            created_at=write.now,
            expires_at=expires_at,
        )
        write.session.add(row)
        write.record(
            "offer", "prefix", prefix.id, account, cidr=prefix.cidr, to=body.to_account_id, transfer_id=row.id
        )
        write.session.flush()
        return _body(row, write.now)

    return writer.run(work)


@router.post(
    "/transfers/{transfer_id}/accept",
    response_model=TransferBody,
    responses=refuses(Kind.NOT_IN_THAT_STATE, Kind.STILL_ADVERTISED, Kind.BINDING_IN_USE),
)
def accept_transfer(
    account: AccountDep, transfer_id: PathId, caller: CallerDep, writer: WriterDep
) -> Response:
    """Accept what is offered to this account: prefix, BGP prefixes and bindings move, ids included."""
    require_owner(caller, account, "accept a prefix")

    def work(write: Write) -> dict[str, Any]:
        row = write.session.get(TransferRow, transfer_id)
        if row is None or row.to_account_id != account:
            raise Refusal(Kind.NOT_FOUND, f"nothing with the id {transfer_id!r} is offered to {account}")
        _is_open(row, write.now)
        prefix = write.session.get(PrefixRow, row.prefix_id)
        if prefix is None or prefix.account_id != row.account_id or prefix.deleted_at is not None:
            raise Refusal(Kind.NOT_IN_THAT_STATE, f"{row.cidr} is no longer there to be given")
        _move(write, row, prefix)
        row.state, row.decided_by, row.decided_at = "accepted", caller.token_id, write.now
        return _body(row, write.now)

    return writer.run(work)


@router.post(
    "/transfers/{transfer_id}/cancel",
    response_model=TransferBody,
    responses=refuses(Kind.NOT_IN_THAT_STATE),
)
def cancel_transfer(
    account: AccountDep, transfer_id: PathId, caller: CallerDep, writer: WriterDep
) -> Response:
    """End an offer: by who made it, by whom it was made to, or by an operator."""

    def work(write: Write) -> dict[str, Any]:
        row = write.session.get(TransferRow, transfer_id)
        if row is None or account not in (row.account_id, row.to_account_id):
            raise Refusal(Kind.NOT_FOUND, f"account {account} has no transfer {transfer_id!r}")
        _is_open(row, write.now)
        row.state, row.decided_by, row.decided_at = "cancelled", caller.token_id, write.now
        write.record("cancel", "transfer", row.id, account, cidr=row.cidr)
        return _body(row, write.now)

    return writer.run(work)


def _move(write: Write, row: TransferRow, prefix: PrefixRow) -> None:
    """Move the prefix with all that stands on it: two change-sets, one removing and one putting."""
    giver, taker = row.account_id, row.to_account_id
    bgp = rows.bgp_prefixes_of(write.session, giver, prefix.id)
    bindings = rows.bindings_of(write.session, giver, prefix.id)
    _is_withdrawn(bgp)
    _is_in_no_map(write, prefix)
    _is_as_offered(write, row, bindings)
    parts: list[tuple[BgpPrefixRow | BindingRow, Change]] = [
        *((b, Change(remove=("bgp_prefix", b.id))) for b in bgp),
        *((b, Change(remove=("binding", b.id))) for b in bindings),
    ]
    write.change(giver, *(change for _, change in parts), Change(remove=("prefix", prefix.id)))
    if bindings:
        write.carry(giver, row.text)
    prefix.account_id, prefix.modified_at = taker, write.now
    # The letter was the giver's; whose the addresses are is to be proved anew with a token of the taker's.
    prefix.loa_document_id, prefix.ownership_token = None, str(uuid4())
    end_request(write, prefix)
    for delegation in reach.delegations_in(write.session, prefix.id):
        delegation.deleted_at = write.now
        for account in (giver, delegation.delegated_account_id):
            write.record(
                "end", "delegation", delegation.id, account, cidr=delegation.cidr, transfer_id=row.id
            )
    write.change(taker, Change(prefix=rows.prefix_object(prefix)))
    for part, _ in parts:
        part.account_id = taker
    for binding in bindings:
        binding.delegation_id = None  # what a delegated account bound there is the taker's now
    write.change(taker, *(Change(binding=rows.binding_object(b)) for b in bindings))
    write.change(taker, *(Change(bgp_prefix=rows.bgp_prefix_object(b)) for b in bgp))
    write.record("give", "prefix", prefix.id, giver, cidr=prefix.cidr, to=taker, transfer_id=row.id)
    write.record("take", "prefix", prefix.id, taker, cidr=prefix.cidr, of=giver, transfer_id=row.id)
    revoke(write, "transfer", giver, prefix.cidr, f"transfer {row.id}: {row.reason}"[:500])


def _is_withdrawn(bgp: Sequence[BgpPrefixRow]) -> None:
    advertised = next((b.cidr for b in bgp if b.advertised), None)
    if advertised is not None:
        raise Refusal(Kind.STILL_ADVERTISED, f"{advertised} is advertised: withdraw it first")


def _is_in_no_map(write: Write, prefix: PrefixRow) -> None:
    """Refuse while the giver's address maps, or its delegates', have addresses of it."""
    for address_map, entry in map_uses.live_in(write.session, Prefix(prefix.cidr)):
        raise Refusal(
            Kind.BINDING_IN_USE, f"{entry.ip} is in address map {address_map.id}: take it out there first"
        )


def _is_as_offered(write: Write, row: TransferRow, bindings: Sequence[BindingRow]) -> None:
    """Refuse when the giver's intent does not reach what is bound now."""
    try:
        intent = write.context.intents.check(row.text, write.now)
    except IntentError as error:
        raise Refusal(Kind.NOT_IN_THAT_STATE, f"the offer of {row.cidr} does not hold: {error}") from error
    missing = next((b.cidr for b in bindings if b.cidr not in intent.prefixes), None)
    if missing is not None:
        raise Refusal(
            Kind.NOT_IN_THAT_STATE, f"{missing} was bound since {row.cidr} was offered: have it offered again"
        )


def _is_open(row: TransferRow, now: datetime) -> None:
    state = _state(row, now)
    if state != "offered":
        raise Refusal(Kind.NOT_IN_THAT_STATE, f"transfer {row.id} is {state}: make another one")


def _end_old_offer(write: Write, prefix: PrefixRow) -> None:
    open_offer = select(TransferRow).where(TransferRow.prefix_id == prefix.id, TransferRow.state == "offered")
    for row in write.session.scalars(open_offer):
        if _state(row, write.now) == "offered":
            raise Refusal(
                Kind.NOT_IN_THAT_STATE, f"{prefix.cidr} is offered already, by transfer {row.id}: cancel that"
            )
        row.state, row.decided_at = "cancelled", row.expires_at
        write.session.flush()


def _state(row: TransferRow, now: datetime) -> str:
    return "lapsed" if row.state == "offered" and now >= row.expires_at else row.state


def _body(row: TransferRow, now: datetime) -> dict[str, Any]:
    return {
        "id": row.id,
        "state": _state(row, now),
        "account_id": row.account_id,
        "to_account_id": row.to_account_id,
        "prefix_id": row.prefix_id,
        "cidr": row.cidr,
        "reason": row.reason,
        "created_at": rfc3339(row.created_at),
        "expires_at": rfc3339(row.expires_at),
        "decided_at": rfc3339(row.decided_at),
    }
