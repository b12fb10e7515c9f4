"""BGP prefixes: the parts of a prefix that can be advertised, and whether they are."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from fastapi import APIRouter, Response

from controller.addressing import letters, reach, revocations, rows, rules
from controller.addressing.bodies import (
    Bare,
    BgpPrefixBody,
    CreateBgpPrefix,
    EditBgpPrefix,
    Envelope,
    Listing,
)
from controller.addressing.context import AccountDep, ContextDep
from controller.addressing.delegation_rules import may_edit_delegated
from controller.addressing.description import refuses
from controller.addressing.envelope import bare, json_response, listing, success
from controller.addressing.errors import Kind, Refusal
from controller.addressing.prefixes import BASE
from controller.addressing.present import bgp_prefix_body
from controller.addressing.tables import BgpPrefixRow, PrefixRow
from controller.addressing.validation_gate import may_announce
from controller.addressing.versions import etag
from controller.addressing.writes import Write, WriterDep
from controller.bgp import Prefix
from controller.snapshots.model import Change

router = APIRouter(prefix=BASE + "/{prefix_id}/bgp/prefixes", tags=["bgp_prefixes"])


@router.get("", response_model=Listing[BgpPrefixBody])
def list_bgp_prefixes(account: AccountDep, prefix_id: str, context: ContextDep) -> Response:
    """All BGP prefixes in one prefix; of another's prefix those within what was delegated."""
    with context.store.read() as session:
        reached = reach.of(session, account, prefix_id)
        found = [b for b in rows.bgp_prefixes_in(session, [reached.prefix.id]) if reached.sees(b.cidr)]
    return json_response(listing([bgp_prefix_body(b, context.view) for b in found]))


@router.post(
    "",
    response_model=Envelope[BgpPrefixBody],
    responses=refuses(
        Kind.INVALID_PREFIX, Kind.NOT_WITHIN_PREFIX, Kind.PREFIX_NOT_APPROVED, Kind.ALREADY_EXISTS
    ),
)
def create_bgp_prefix(
    account: AccountDep, prefix_id: str, body: CreateBgpPrefix, writer: WriterDep
) -> Response:
    """Make a part of the prefix advertisable; it is born withdrawn."""

    def work(write: Write) -> dict[str, Any]:
        prefix = rows.the_prefix(write.session, account, prefix_id)
        cidr = rules.announceable(body.cidr, write.context.policy, "/cidr")
        rules.within(cidr, Prefix(prefix.cidr), "/cidr")
        rules.is_approved(Prefix(prefix.cidr), prefix.approved)
        if any(b.cidr == cidr for b in rows.bgp_prefixes_of(write.session, account)):
            raise Refusal(Kind.ALREADY_EXISTS, f"{cidr} is a BGP prefix already: use that one", "/cidr")
        row = add_bgp_prefix(write, prefix, cidr)
        write.shows(row)
        return success(bgp_prefix_body(row, write.eye(row.id)))

    return writer.run(work)


@router.get("/{bgp_prefix_id}", response_model=Envelope[BgpPrefixBody])
def get_bgp_prefix(account: AccountDep, prefix_id: str, bgp_prefix_id: str, context: ContextDep) -> Response:
    """One BGP prefix."""
    with context.store.read() as session:
        row = reach.the_bgp_prefix(session, reach.of(session, account, prefix_id), bgp_prefix_id)
    return json_response(success(bgp_prefix_body(row, context.view)), headers={"ETag": etag(row)})


@router.patch(
    "/{bgp_prefix_id}",
    response_model=Envelope[BgpPrefixBody],
    responses=refuses(
        Kind.PREFIX_NOT_APPROVED,
        Kind.INCOMPLETE_DEPLOYMENT,
        Kind.STATE_LOCKED,
        Kind.LETTER_WITHDRAWN,
        Kind.REVOKED,
        Kind.MAY_NOT_ADVERTISE,
    ),
)
def edit_bgp_prefix(
    account: AccountDep, prefix_id: str, bgp_prefix_id: str, body: EditBgpPrefix, writer: WriterDep
) -> Response:
    """Advertise, withdraw, prepend. Success means accepted, not yet in effect."""
    given = body.model_fields_set
    nulls = [name for name in given if getattr(body, name) is None]
    if nulls or not given:
        what = f"{nulls[0]} is null" if nulls else "nothing to change"
        raise Refusal(
            Kind.MALFORMED_BODY,
            f"{what}: give on_demand, asn_prepend_count or auto_advertise_withdraw",
            f"/{nulls[0]}" if nulls else "",
        )

    def work(write: Write) -> dict[str, Any]:
        reached = reach.of(write.session, account, prefix_id)
        row = reach.the_bgp_prefix(write.session, reached, bgp_prefix_id)
        if (by := reached.by(row.cidr)) is not None:
            may_edit_delegated(Prefix(row.cidr), given, by.may_advertise)
        write.match(row)
        if body.asn_prepend_count is not None:
            row.asn_prepend_count = body.asn_prepend_count
            reach.record(write, "prepend", "bgp_prefix", row, count=body.asn_prepend_count)
        if body.auto_advertise_withdraw is not None:
            row.auto_advertise_withdraw = body.auto_advertise_withdraw
            reach.record(write, "auto-advertise", "bgp_prefix", row, enabled=body.auto_advertise_withdraw)
        if body.on_demand is not None:
            advertise(write, row, body.on_demand.advertised, row.sites)
        elif body.asn_prepend_count is not None:
            write.change(row.account_id, Change(bgp_prefix=rows.bgp_prefix_object(row)))
        row.modified_at = write.now
        write.shows(row)
        touched = (row.id,) if write.changes_anything else ()
        return success(bgp_prefix_body(row, write.eye(*touched)))

    return writer.run(work)


@router.delete("/{bgp_prefix_id}", response_model=Bare, responses=refuses(Kind.STILL_ADVERTISED))
def delete_bgp_prefix(account: AccountDep, prefix_id: str, bgp_prefix_id: str, writer: WriterDep) -> Response:
    """Delete a withdrawn BGP prefix; it is tombstoned."""

    def work(write: Write) -> dict[str, Any]:
        row = rows.the_bgp_prefix(
            write.session, rows.the_prefix(write.session, account, prefix_id), bgp_prefix_id
        )
        write.match(row)
        if row.advertised:
            raise Refusal(Kind.STILL_ADVERTISED, f"{row.cidr} is advertised: withdraw it first")
        row.deleted_at = write.now
        reach.record(write, "delete", "bgp_prefix", row, cidr=row.cidr)
        write.change(account, Change(remove=("bgp_prefix", row.id)))
        return bare()

    return writer.run(work)


def add_bgp_prefix(write: Write, prefix: PrefixRow, cidr: Prefix) -> BgpPrefixRow:
    """Add a BGP prefix of ``prefix`` to the write: withdrawn, with the prefix's ASN."""
    row = BgpPrefixRow(
        id=uuid4().hex,
        account_id=prefix.account_id,
        prefix_id=prefix.id,
        cidr=cidr,
        asn=prefix.asn,
        asn_prepend_count=0,
        auto_advertise_withdraw=False,
        advertised=False,
        locked=False,
        sites=None,
        created_at=write.now,
        modified_at=write.now,
    )
    write.session.add(row)
    reach.record(write, "create", "bgp_prefix", row, cidr=cidr, asn=prefix.asn)
    write.change(prefix.account_id, Change(bgp_prefix=rows.bgp_prefix_object(row)))
    return row


def widens(before: list[str] | None, after: list[str] | None) -> bool:
    """Tell whether going from ``before`` to ``after`` (None: all sites) announces at further sites."""
    return before is not None and (after is None or not set(after) <= set(before))


def advertise(write: Write, row: BgpPrefixRow, advertised: bool, sites: list[str] | None) -> None:
    """Ask for ``row`` to be advertised at ``sites`` (None: all) or withdrawn, if the rules allow it.

    It always makes a change-set, so that whoever asks again has something to wait for.
    """
    cidr = Prefix(row.cidr)
    if (advertised, sites) != (row.advertised, row.sites):
        rules.unlocked(cidr, row.locked)
    if advertised:
        prefix = rows.the_prefix(write.session, row.account_id, row.prefix_id)
        rules.is_approved(Prefix(prefix.cidr), prefix.approved)
        if not row.advertised or widens(row.sites, sites):
            letters.authorizes(write.session, prefix)
            revocations.may_announce(write.session, prefix, cidr)
            may_announce(write.session, prefix, cidr, write.context.validation.config, write.now)
        rules.may_advertise(cidr, [Prefix(b.cidr) for b in rows.bindings_of(write.session, row.account_id)])
    if advertised != row.advertised:
        row.advertised_modified_at = write.now
    row.advertised, row.sites, row.modified_at = advertised, sites, write.now
    action = "advertise" if advertised else "withdraw"
    reach.record(write, action, "bgp_prefix", row, cidr=cidr, sites=sites)
    write.change(row.account_id, Change(bgp_prefix=rows.bgp_prefix_object(row)))
