"""Herald's own way to advertise: whose prefix it is, and at which sites it is to be announced."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from controller.addressing import rows, rules
from controller.addressing.auth import CallerDep
from controller.addressing.bgp_prefixes import add_bgp_prefix, advertise
from controller.addressing.bodies import BgpPrefixBody, PutAdvertisement, PutPartAdvertisement
from controller.addressing.context import AccountDep, ContextDep
from controller.addressing.description import refuses
from controller.addressing.envelope import json_response
from controller.addressing.errors import Kind, Refusal
from controller.addressing.present import bgp_prefix_body
from controller.addressing.tables import BgpPrefixRow
from controller.addressing.writes import Write, WriterDep
from controller.bgp import Prefix, covers

router = APIRouter(prefix="/herald/v1", tags=["bgp_prefixes"])


@router.get("/bgp_prefixes")
def find_bgp_prefix(
    cidr: Annotated[str, Query(max_length=60)], caller: CallerDep, context: ContextDep
) -> Response:
    """Whose prefix ``cidr`` is: the most specific onboarded prefix around it, and its BGP prefix if any."""
    prefix = rules.canonical(cidr, "/query/cidr")
    with context.store.read() as session:
        around = [
            p
            for p in rows.overlapping(session, prefix)
            if covers(Prefix(p.cidr), prefix)
            and (caller.sees_all_accounts or p.account_id == caller.account_id)
        ]
        if not around:
            raise Refusal(
                Kind.NOT_FOUND,
                f"no onboarded prefix covers {prefix}: see the account's prefixes",
                "/query/cidr",
            )
        best = max(around, key=lambda p: rules.length_of(Prefix(p.cidr)))
        parts = rows.bgp_prefixes_of(session, best.account_id)
    bgp = next((b for b in parts if b.cidr == prefix), None)
    onboarded = next((p for p in around if bgp is not None and p.id == bgp.prefix_id), best)
    return json_response(
        {
            "account_id": onboarded.account_id,
            "prefix_id": onboarded.id,
            "prefix_cidr": onboarded.cidr,
            "bgp_prefix_id": None if bgp is None else bgp.id,
        }
    )


@router.put(
    "/accounts/{account_id}/bgp_prefixes/{bgp_prefix_id}/advertisement",
    response_model=BgpPrefixBody,
    responses=refuses(
        Kind.INVALID_SITE,
        Kind.PREFIX_NOT_APPROVED,
        Kind.INCOMPLETE_DEPLOYMENT,
        Kind.STATE_LOCKED,
        Kind.LETTER_WITHDRAWN,
        Kind.REVOKED,
    ),
)
def put_advertisement(
    account: AccountDep,
    bgp_prefix_id: Annotated[str, Path(max_length=32)],
    body: PutAdvertisement,
    writer: WriterDep,
) -> Response:
    """Advertise at ``sites`` (null: all), or withdraw, as one change-set."""

    def work(write: Write) -> dict[str, Any]:
        row = write.session.get(BgpPrefixRow, bgp_prefix_id)
        if row is None or row.account_id != account or row.deleted_at is not None:
            raise Refusal(Kind.NOT_FOUND, f"account {account} has no BGP prefix {bgp_prefix_id!r}")
        write.match(row)
        sites = rules.known_sites(body.sites, write.context.sites, "/sites")
        advertise(write, row, body.advertised, sites)
        write.shows(row)
        return bgp_prefix_body(row, write.eye(row.id))

    return writer.run(work)


@router.put(
    "/accounts/{account_id}/prefixes/{prefix_id}/advertisement",
    response_model=BgpPrefixBody,
    responses=refuses(
        Kind.INVALID_SITE,
        Kind.INVALID_PREFIX,
        Kind.NOT_WITHIN_PREFIX,
        Kind.PREFIX_NOT_APPROVED,
        Kind.INCOMPLETE_DEPLOYMENT,
        Kind.STATE_LOCKED,
        Kind.LETTER_WITHDRAWN,
        Kind.REVOKED,
    ),
)
def put_part_advertisement(
    account: AccountDep,
    prefix_id: Annotated[str, Path(max_length=32)],
    body: PutPartAdvertisement,
    writer: WriterDep,
) -> Response:
    """Advertise or withdraw the part ``cidr``, which becomes a BGP prefix if it is none: all or nothing."""

    def work(write: Write) -> dict[str, Any]:
        prefix = rows.the_prefix(write.session, account, prefix_id)
        cidr = rules.announceable(body.cidr, write.context.policy, "/cidr")
        rules.within(cidr, Prefix(prefix.cidr), "/cidr")
        rules.is_approved(Prefix(prefix.cidr), prefix.approved)
        sites = rules.known_sites(body.sites, write.context.sites, "/sites")
        row = next((b for b in rows.bgp_prefixes_of(write.session, account) if b.cidr == cidr), None)
        if row is None:
            row = add_bgp_prefix(write, prefix, cidr)
            write.session.flush()
        advertise(write, row, body.advertised, sites)
        write.shows(row)
        return bgp_prefix_body(row, write.eye(row.id))

    return writer.run(work)
