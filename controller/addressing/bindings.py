"""Bindings: which service answers at which part of a prefix."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from fastapi import APIRouter, Response
from sqlalchemy import select

from controller.addressing import map_uses, reach, rows, rules
from controller.addressing.bgp_prefixes import add_bgp_prefix
from controller.addressing.bodies import Bare, BindingBody, CreateBinding, Envelope, Listing
from controller.addressing.context import AccountDep, ContextDep
from controller.addressing.delegation_rules import within_delegation
from controller.addressing.description import refuses
from controller.addressing.envelope import bare, json_response, listing, success
from controller.addressing.errors import Kind
from controller.addressing.prefixes import BASE
from controller.addressing.present import binding_body
from controller.addressing.tables import BindingRow, ServiceRow
from controller.addressing.writes import Write, WriterDep
from controller.bgp import Prefix
from controller.snapshots.model import Change

router = APIRouter(prefix=BASE + "/{prefix_id}/bindings", tags=["bindings"])


@router.get("", response_model=Listing[BindingBody])
def list_bindings(account: AccountDep, prefix_id: str, context: ContextDep) -> Response:
    """All bindings in one prefix; of another's prefix those within what was delegated."""
    with context.store.read() as session:
        reached = reach.of(session, account, prefix_id)
        owner, prefix_id = reached.prefix.account_id, reached.prefix.id
        found = [b for b in rows.bindings_of(session, owner, prefix_id) if reached.sees(b.cidr)]
        names = {s.id: s.name for s in session.scalars(select(ServiceRow))}
    return json_response(listing([binding_body(b, names[b.service_id], context.view) for b in found]))


@router.post(
    "",
    response_model=Envelope[BindingBody],
    responses=refuses(
        Kind.INVALID_PREFIX,
        Kind.NOT_WITHIN_PREFIX,
        Kind.PREFIX_NOT_APPROVED,
        Kind.ALREADY_EXISTS,
        Kind.DEFAULT_BINDING_FIRST,
        Kind.DEFAULT_BINDING_ONLY,
        Kind.NOT_WITHIN_DELEGATION,
    ),
)
def create_binding(account: AccountDep, prefix_id: str, body: CreateBinding, writer: WriterDep) -> Response:
    """Bind a service; the default binding (all of the prefix) makes the BGP prefix, withdrawn."""

    def work(write: Write) -> dict[str, Any]:
        reached = reach.of(write.session, account, prefix_id)
        prefix = reached.prefix
        owner, whole = prefix.account_id, Prefix(prefix.cidr)
        cidr = rules.canonical(body.cidr, "/cidr")
        rules.within(cidr, whole, "/cidr")
        if not reached.owns:
            within_delegation(cidr, reached.parts)
        rules.is_approved(whole, prefix.approved)
        service = rows.the_service(write.session, body.service_id, "/service_id")
        mine = [Prefix(b.cidr) for b in rows.bindings_of(write.session, owner, prefix.id)]
        elsewhere = [b.cidr for b in rows.bindings_of(write.session, owner) if b.cidr == cidr]
        rules.may_bind(cidr, whole, service.name, mine + [Prefix(c) for c in elsewhere])
        by = reached.by(cidr)
        row = BindingRow(
            id=uuid4().hex,
            account_id=owner,
            prefix_id=prefix.id,
            cidr=cidr,
            service_id=service.id,
            delegation_id=None if by is None else by.id,
            created_at=write.now,
        )
        write.session.add(row)
        write.shows(row)
        reach.record(write, "create", "binding", row, cidr=cidr, service_id=service.id)
        write.change(owner, Change(binding=rows.binding_object(row)))
        if cidr == whole and all(b.cidr != cidr for b in rows.bgp_prefixes_of(write.session, owner)):
            add_bgp_prefix(write, prefix, cidr)
        return success(binding_body(row, service.name, write.eye(row.id)))

    return writer.run(work)


@router.get("/{binding_id}", response_model=Envelope[BindingBody])
def get_binding(account: AccountDep, prefix_id: str, binding_id: str, context: ContextDep) -> Response:
    """One binding."""
    with context.store.read() as session:
        row = reach.the_binding(session, reach.of(session, account, prefix_id), binding_id)
        service = rows.the_service(session, row.service_id, "/service_id")
    return json_response(success(binding_body(row, service.name, context.view)))


@router.delete(
    "/{binding_id}", response_model=Bare, responses=refuses(Kind.STILL_ADVERTISED, Kind.BINDING_IN_USE)
)
def delete_binding(account: AccountDep, prefix_id: str, binding_id: str, writer: WriterDep) -> Response:
    """Delete a binding that no advertised BGP prefix stands on; it is tombstoned."""

    def work(write: Write) -> dict[str, Any]:
        reached = reach.of(write.session, account, prefix_id)
        prefix = reached.prefix
        row = reach.the_binding(write.session, reached, binding_id)
        if row.delegation_id is None:
            reached.require_owner(f"delete the binding of {row.cidr}, which it made itself")
        write.match(row)
        owner = row.account_id
        advertised = [Prefix(b.cidr) for b in rows.bgp_prefixes_of(write.session, owner) if b.advertised]
        bound = [Prefix(b.cidr) for b in rows.bindings_of(write.session, owner, prefix.id)]
        rules.may_unbind(Prefix(row.cidr), Prefix(prefix.cidr), bound, advertised)
        map_uses.may_unbind(write.session, row)
        row.deleted_at = write.now
        reach.record(write, "delete", "binding", row, cidr=row.cidr)
        write.change(owner, Change(remove=("binding", row.id)))
        return bare()

    return writer.run(work)
