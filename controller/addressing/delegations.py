"""Delegations: letting another account use a part of a prefix, and what was delegated to one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.addressing import map_uses, reach, rows, rules
from controller.addressing.bodies import Cidr, Envelope, Id, Listing, Request
from controller.addressing.context import AccountDep, ContextDep
from controller.addressing.delegation_rules import may_delegate, may_end
from controller.addressing.delegation_tables import DelegationRow
from controller.addressing.description import refuses
from controller.addressing.envelope import json_response, listing, success
from controller.addressing.errors import Kind, Refusal
from controller.addressing.prefixes import BASE
from controller.addressing.tables import AccountRow, BindingRow, PrefixRow
from controller.addressing.times import rfc3339
from controller.addressing.versions import etag
from controller.addressing.writes import Write, WriterDep
from controller.bgp import Prefix

COMPATIBLE = BASE + "/{prefix_id}/delegations"
HERALD = "/herald/v1/accounts/{account_id}"
PERMISSIONS = HERALD + "/prefixes/{prefix_id}/delegations/{delegation_id}/permissions"

router = APIRouter(tags=["delegations"])

DelegationId = Annotated[str, Path(max_length=200)]


class CreateDelegation(Request):
    """``cidr`` lies in the prefix; the account is another one."""

    cidr: Cidr
    delegated_account_id: Id


class PutPermissions(Request):
    """Whether the delegated account may advertise and withdraw, too."""

    may_advertise: bool


class DelegationBody(BaseModel):
    """A part of a prefix that another account may use."""

    id: str
    cidr: str
    delegated_account_id: str
    parent_prefix_id: str
    created_at: str
    modified_at: str


class DelegationIdBody(BaseModel):
    """Which delegation has ended."""

    id: str


class PermittedDelegationBody(DelegationBody):
    """A delegation with what it allows beyond binding."""

    may_advertise: bool


class DelegatedPrefixBody(BaseModel):
    """What was delegated to an account, and by whom."""

    delegation_id: str
    cidr: str
    may_advertise: bool
    prefix_id: str
    prefix_cidr: str
    owner_account_id: str
    approved: bool
    created_at: str
    modified_at: str


class DelegatedPrefixes(BaseModel):
    """All that was delegated to an account."""

    result: list[DelegatedPrefixBody]


@router.get(COMPATIBLE, response_model=Listing[DelegationBody])
def list_delegations(account: AccountDep, prefix_id: str, context: ContextDep) -> Response:
    """All delegations of a prefix, for its owner."""
    with context.store.read() as session:
        prefix = rows.the_prefix(session, account, prefix_id)
        found = reach.delegations_in(session, prefix.id)
    return json_response(listing([_body(d) for d in found]))


@router.post(
    COMPATIBLE,
    response_model=Envelope[DelegationBody],
    responses=refuses(
        Kind.INVALID_PREFIX,
        Kind.NOT_WITHIN_PREFIX,
        Kind.INVALID_ACCOUNT,
        Kind.PREFIX_NOT_APPROVED,
        Kind.ALREADY_EXISTS,
        Kind.DELEGATION_OVERLAPS,
    ),
)
def create_delegation(
    account: AccountDep, prefix_id: str, body: CreateDelegation, writer: WriterDep
) -> Response:
    """Let another account bind services to a part of the prefix; advertising stays with the owner."""

    def work(write: Write) -> dict[str, Any]:
        prefix = rows.the_prefix(write.session, account, prefix_id)
        cidr = rules.canonical(body.cidr, "/cidr")
        rules.within(cidr, Prefix(prefix.cidr), "/cidr")
        rules.is_approved(Prefix(prefix.cidr), prefix.approved)
        to = body.delegated_account_id
        if write.session.get(AccountRow, to) is None:
            raise Refusal(
                Kind.INVALID_ACCOUNT,
                f"there is no account {to!r}: ask whoever it is for their account's id",
                "/delegated_account_id",
            )
        may_delegate(cidr, account, to, _delegated_by(write.session, account))
        row = DelegationRow(
            id=uuid4().hex,
            account_id=account,
            prefix_id=prefix.id,
            delegated_account_id=to,
            cidr=cidr,
            may_advertise=False,
            created_at=write.now,
            modified_at=write.now,
        )
        write.session.add(row)
        write.shows(row)
        _record(write, "create", row)
        return success(_body(row))

    return writer.run(work)


@router.delete(
    COMPATIBLE + "/{delegation_id}",
    response_model=Envelope[DelegationIdBody],
    responses=refuses(Kind.DELEGATION_IN_USE),
)
def delete_delegation(
    account: AccountDep, prefix_id: str, delegation_id: DelegationId, writer: WriterDep
) -> Response:
    """End a delegation that nothing of the delegated account stands on; it is tombstoned.

    It can therefore take nothing off the air: what would be is deleted first, each as itself.
    """

    def work(write: Write) -> dict[str, Any]:
        row = _the_delegation(write.session, account, prefix_id, delegation_id)
        write.match(row)
        may_end(Prefix(row.cidr), row.delegated_account_id, dependents(write.session, row))
        row.deleted_at = write.now
        _record(write, "delete", row)
        return success({"id": row.id})

    return writer.run(work)


@router.get(PERMISSIONS, response_model=PermittedDelegationBody)
def get_permissions(
    account: AccountDep, prefix_id: str, delegation_id: DelegationId, context: ContextDep
) -> Response:
    """What a delegation allows, for its owner."""
    with context.store.read() as session:
        row = _the_delegation(session, account, prefix_id, delegation_id)
    return json_response(_permitted(row), headers={"ETag": etag(row)})


@router.put(PERMISSIONS, response_model=PermittedDelegationBody)
def put_permissions(
    account: AccountDep,
    prefix_id: str,
    delegation_id: DelegationId,
    body: PutPermissions,
    writer: WriterDep,
) -> Response:
    """Let the delegated account advertise, or no longer; what is advertised stays so either way."""

    def work(write: Write) -> dict[str, Any]:
        row = _the_delegation(write.session, account, prefix_id, delegation_id)
        write.match(row)
        if row.may_advertise != body.may_advertise:
            row.may_advertise, row.modified_at = body.may_advertise, write.now
            _record(write, "permit", row, may_advertise=row.may_advertise)
        write.shows(row)
        return _permitted(row)

    return writer.run(work)


@router.get(HERALD + "/delegated_prefixes", response_model=DelegatedPrefixes)
def list_delegated_prefixes(account: AccountDep, context: ContextDep) -> Response:
    """What other accounts delegated to this one."""
    query = (
        select(DelegationRow, PrefixRow)
        .join(PrefixRow, PrefixRow.id == DelegationRow.prefix_id)
        .where(
            DelegationRow.delegated_account_id == account,
            DelegationRow.deleted_at.is_(None),
            PrefixRow.deleted_at.is_(None),
        )
        .order_by(DelegationRow.created_at, DelegationRow.id)
    )
    with context.store.read() as session:
        found = session.execute(query).all()
    return json_response({"result": [_delegated(d, p) for d, p in found]})


def dependents(session: Session, row: DelegationRow) -> list[str]:
    """Return what of the delegated account stands on the delegation, as people would name it."""
    bindings = session.scalars(
        select(BindingRow)
        .where(BindingRow.delegation_id == row.id, BindingRow.deleted_at.is_(None))
        .order_by(BindingRow.created_at, BindingRow.id)
    ).all()
    named = [f"binding {b.id} of {b.cidr}" for b in bindings]
    return named + map_uses.of_delegation(session, row)


def _the_delegation(session: Session, account_id: str, prefix_id: str, delegation_id: str) -> DelegationRow:
    prefix = rows.the_prefix(session, account_id, prefix_id)
    row = session.get(DelegationRow, delegation_id)
    if row is None or row.prefix_id != prefix.id or row.deleted_at is not None:
        raise Refusal(Kind.NOT_FOUND, f"prefix {prefix.cidr} has no delegation {delegation_id!r}")
    return row


def _delegated_by(session: Session, account_id: str) -> Sequence[tuple[Prefix, str]]:
    """Return what the account delegates, of all its prefixes: these may lie in one another."""
    found = session.execute(
        select(DelegationRow.cidr, DelegationRow.delegated_account_id).where(
            DelegationRow.account_id == account_id, DelegationRow.deleted_at.is_(None)
        )
    )
    return [(Prefix(cidr), to) for cidr, to in found]


def _record(write: Write, action: str, row: DelegationRow, **detail: object) -> None:
    """Note a change in both accounts' history."""
    for account in (row.account_id, row.delegated_account_id):
        write.record(
            action, "delegation", row.id, account,
            cidr=row.cidr, owner=row.account_id, delegated_account_id=row.delegated_account_id, **detail,
        )  # fmt: skip


def _body(row: DelegationRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "cidr": row.cidr,
        "delegated_account_id": row.delegated_account_id,
        "parent_prefix_id": row.prefix_id,
        "created_at": rfc3339(row.created_at),
        "modified_at": rfc3339(row.modified_at),
    }


def _permitted(row: DelegationRow) -> dict[str, Any]:
    return {**_body(row), "may_advertise": row.may_advertise}


def _delegated(row: DelegationRow, prefix: PrefixRow) -> dict[str, Any]:
    return {
        "delegation_id": row.id,
        "cidr": row.cidr,
        "may_advertise": row.may_advertise,
        "prefix_id": prefix.id,
        "prefix_cidr": prefix.cidr,
        "owner_account_id": prefix.account_id,
        "approved": prefix.approved,
        "created_at": rfc3339(row.created_at),
        "modified_at": rfc3339(row.modified_at),
    }
