"""Prefixes: onboarding a customer's addresses."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from controller.addressing import letters, prefix_checks, reach, rows, rules
from controller.addressing.bodies import Bare, CreatePrefix, EditPrefix, Envelope, Listing, PrefixBody
from controller.addressing.context import AccountDep, Context, ContextDep
from controller.addressing.description import refuses
from controller.addressing.envelope import bare, json_response, listing, success
from controller.addressing.errors import Kind, Refusal
from controller.addressing.present import prefix_body
from controller.addressing.streams import PAGE, stream_listing
from controller.addressing.tables import PrefixRow
from controller.addressing.versions import etag
from controller.addressing.writes import Write, WriterDep
from controller.bgp import Prefix

BASE = "/client/v4/accounts/{account_id}/addressing/prefixes"

router = APIRouter(prefix=BASE, tags=["prefixes"])


@router.get("", response_model=Listing[PrefixBody])
def list_prefixes(
    account: AccountDep,
    context: ContextDep,
    limit: Annotated[
        int | None, Query(ge=1, le=1000, description="Only so many; the Link header leads on.")
    ] = None,
    after: Annotated[
        str | None, Query(min_length=1, max_length=32, description="Those after the prefix with this id.")
    ] = None,
) -> Response:
    """All prefixes of the account, whole: there is no next page, unless ``limit`` asks for pages."""
    if limit is not None or after is not None:
        return _page(account, context, limit or 1000, after)
    return stream_listing(_all_pages(account, context))


def _all_pages(account: str, context: Context) -> Generator[list[dict[str, Any]], None, None]:
    """Give the account's prefixes as they were when the first was read."""
    with context.store.read() as session:
        last: PrefixRow | None = None
        while found := rows.prefixes_after(session, account, last, PAGE):
            last = found[-1]
            shown = _shown(session, found, context)
            session.expunge_all()
            yield shown


def _page(account: str, context: Context, limit: int, after: str | None) -> Response:
    with context.store.read() as session:
        last = None if after is None else rows.any_prefix(session, account, after, "/query/after")
        found = rows.prefixes_after(session, account, last, limit)
        shown, total = _shown(session, found, context), rows.count_prefixes(session, account)
    headers = {}
    if len(found) == limit:
        path = BASE.format(account_id=account)
        headers["Link"] = f'<{path}?limit={limit}&after={found[-1].id}>; rel="next"'
    body = listing(shown)
    body["result_info"] |= {"per_page": limit, "total_count": total, "total_pages": -(-total // limit)}
    return json_response(body, headers=headers)


def _shown(session: Session, found: Sequence[PrefixRow], context: Context) -> list[dict[str, Any]]:
    parts = rows.parts_in(session, [p.id for p in found])
    return [prefix_body(p, parts[p.id], context.view) for p in found]


@router.post(
    "",
    response_model=Envelope[PrefixBody],
    responses=refuses(
        Kind.INVALID_PREFIX,
        Kind.INVALID_ASN,
        Kind.PREFIX_OVERLAPS,
        Kind.PREFIX_TOMBSTONED,
        Kind.ALREADY_EXISTS,
        Kind.UNKNOWN_LETTER,
        Kind.LETTER_WITHDRAWN,
    ),
)
def create_prefix(
    account: AccountDep, body: CreatePrefix, writer: WriterDep, context: ContextDep
) -> Response:
    """Onboard a prefix; nothing of it can be used until an operator approves it."""

    def work(write: Write) -> dict[str, Any]:
        policy = write.context.policy
        cidr = rules.announceable(body.cidr, policy, "/cidr")
        policy.check_asn(body.asn, "/asn")
        letters.usable(write.session, account, body.loa_document_id, "/loa_document_id")
        others = [(r.account_id, Prefix(r.cidr)) for r in rows.overlapping(write.session, cidr)]
        rules.free_of(cidr, account, others, "/cidr")
        tombstones = [(r.account_id, Prefix(r.cidr)) for r in rows.reserved(write.session, cidr)]
        rules.not_reserved(cidr, account, tombstones, "/cidr")
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
        names = write.context.validation.config.available()
        prefix_checks.schedule(write.session, row.id, names, write.now, requested=False)
        return success(prefix_body(row, rows.Parts(), write.eye()))

    answer = writer.run(work)
    context.validation.wake()
    return answer


@router.get("/{prefix_id}", response_model=Envelope[PrefixBody])
def get_prefix(account: AccountDep, prefix_id: str, context: ContextDep) -> Response:
    """One prefix: the account's own, or one of which a part was delegated to it.

    Of such a one it shows the BGP prefixes in which addresses of the account lie.
    """
    with context.store.read() as session:
        reached = reach.of(session, account, prefix_id)
        row = reached.prefix
        parts = rows.parts_of(session, row.id)
        parts.bgp = [b for b in parts.bgp if reached.meets(b.cidr)]
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
        return success(prefix_body(row, rows.parts_of(write.session, row.id), write.eye()))

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
