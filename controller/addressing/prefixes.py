"""Prefixes: onboarding a customer's addresses."""

from __future__ import annotations

from collections import defaultdict
from typing import Any
from uuid import uuid4

from fastapi import APIRouter, Response

from controller.addressing import rows, rules
from controller.addressing.bodies import Bare, CreatePrefix, EditPrefix, Envelope, Listing, PrefixBody
from controller.addressing.context import AccountDep, ContextDep
from controller.addressing.description import refuses
from controller.addressing.envelope import bare, json_response, listing, success
from controller.addressing.errors import Kind, Refusal
from controller.addressing.present import prefix_body
from controller.addressing.tables import BgpPrefixRow, PrefixRow
from controller.addressing.versions import etag
from controller.addressing.writes import Write, WriterDep
from controller.bgp import Prefix

BASE = "/client/v4/accounts/{account_id}/addressing/prefixes"

router = APIRouter(prefix=BASE, tags=["prefixes"])


@router.get("", response_model=Listing[PrefixBody])
def list_prefixes(account: AccountDep, context: ContextDep) -> Response:
    """All prefixes of the account, whole: there is no next page."""
    with context.store.read() as session:
        found = rows.prefixes_of(session, account)
        parts: dict[str, list[BgpPrefixRow]] = defaultdict(list)
        for bgp in rows.bgp_prefixes_of(session, account):
            parts[bgp.prefix_id].append(bgp)
    return json_response(listing([prefix_body(p, parts[p.id], context.view) for p in found]))


@router.post(
    "",
    response_model=Envelope[PrefixBody],
    responses=refuses(Kind.INVALID_PREFIX, Kind.INVALID_ASN, Kind.PREFIX_OVERLAPS, Kind.ALREADY_EXISTS),
)
def create_prefix(account: AccountDep, body: CreatePrefix, writer: WriterDep) -> Response:
    """Onboard a prefix; nothing of it can be used until an operator approves it."""

    def work(write: Write) -> dict[str, Any]:
        policy = write.context.policy
        cidr = rules.announceable(body.cidr, policy, "/cidr")
        policy.check_asn(body.asn, "/asn")
        others = [(r.account_id, Prefix(r.cidr)) for r in rows.overlapping(write.session, cidr)]
        rules.free_of(cidr, account, others, "/cidr")
        low, high = rules.bounds(cidr)
        row = PrefixRow(
            id=uuid4().hex,
            account_id=account,
            cidr=cidr,
            low=low,
            high=high,
            asn=body.asn,
            description=body.description,
            loa_document_id=body.loa_document_id,
            delegate_loa_creation=body.delegate_loa_creation,
            ownership_token=str(uuid4()),
            approved=False,
            created_at=write.now,
            modified_at=write.now,
        )
        write.session.add(row)
        write.shows(row)
        write.record("create", "prefix", row.id, account, cidr=cidr, asn=body.asn)
        return success(prefix_body(row, (), write.eye()))

    return writer.run(work)


@router.get("/{prefix_id}", response_model=Envelope[PrefixBody])
def get_prefix(account: AccountDep, prefix_id: str, context: ContextDep) -> Response:
    """One prefix."""
    with context.store.read() as session:
        row = rows.the_prefix(session, account, prefix_id)
        parts = rows.bgp_prefixes_of(session, account, row.id)
    return json_response(success(prefix_body(row, parts, context.view)), headers={"ETag": etag(row)})


@router.patch("/{prefix_id}", response_model=Envelope[PrefixBody])
def edit_prefix(account: AccountDep, prefix_id: str, body: EditPrefix, writer: WriterDep) -> Response:
    """Change the description."""

    def work(write: Write) -> dict[str, Any]:
        row = rows.the_prefix(write.session, account, prefix_id)
        write.match(row)
        row.description, row.modified_at = body.description, write.now
        write.shows(row)
        write.record("edit", "prefix", row.id, account, description=body.description)
        return success(prefix_body(row, rows.bgp_prefixes_of(write.session, account, row.id), write.eye()))

    return writer.run(work)


@router.delete("/{prefix_id}", response_model=Bare, responses=refuses(Kind.STILL_APPROVED))
def delete_prefix(account: AccountDep, prefix_id: str, writer: WriterDep) -> Response:
    """Take back an onboarding that has not been approved; it is tombstoned."""

    def work(write: Write) -> dict[str, Any]:
        row = rows.the_prefix(write.session, account, prefix_id)
        write.match(row)
        if row.approved:
            raise Refusal(
                Kind.STILL_APPROVED, f"{row.cidr} is approved: only a prefix that is not can be deleted here"
            )
        row.deleted_at = write.now
        write.record("delete", "prefix", row.id, account, cidr=row.cidr)
        return bare()

    return writer.run(work)
