"""The deprecated form of advertising: one switch for a prefix as a whole."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from controller.addressing import rows
from controller.addressing.bgp_prefixes import advertise
from controller.addressing.bodies import EditStatus, Envelope, StatusBody
from controller.addressing.context import AccountDep, ContextDep
from controller.addressing.description import refuses
from controller.addressing.envelope import json_response, success
from controller.addressing.errors import Kind, Refusal
from controller.addressing.prefixes import BASE
from controller.addressing.present import status_body
from controller.addressing.rules import is_approved
from controller.addressing.writes import Write, WriterDep
from controller.bgp import Prefix

router = APIRouter(prefix=BASE + "/{prefix_id}/bgp/status", tags=["bgp_status"])


@router.get("", response_model=Envelope[StatusBody])
def get_status(account: AccountDep, prefix_id: str, context: ContextDep) -> Response:
    """Whether the prefix as a whole is to be advertised."""
    with context.store.read() as session:
        prefix = rows.the_prefix(session, account, prefix_id)
        found = rows.bgp_prefixes_of(session, account, prefix.id)
    return json_response(success(status_body(next((b for b in found if b.cidr == prefix.cidr), None))))


@router.patch(
    "",
    response_model=Envelope[StatusBody],
    responses=refuses(
        Kind.PREFIX_NOT_APPROVED,
        Kind.INCOMPLETE_DEPLOYMENT,
        Kind.STATE_LOCKED,
        Kind.LETTER_WITHDRAWN,
        Kind.REVOKED,
    ),
)
def edit_status(account: AccountDep, prefix_id: str, body: EditStatus, writer: WriterDep) -> Response:
    """Advertise or withdraw the BGP prefix that is the whole prefix."""

    def work(write: Write) -> dict[str, Any]:
        prefix = rows.the_prefix(write.session, account, prefix_id)
        is_approved(Prefix(prefix.cidr), prefix.approved)
        found = rows.bgp_prefixes_of(write.session, account, prefix.id)
        row = next((b for b in found if b.cidr == prefix.cidr), None)
        if row is None:
            raise Refusal(
                Kind.INCOMPLETE_DEPLOYMENT,
                f"{prefix.cidr} has no BGP prefix of its own: bind a service to all of it first",
            )
        write.match(row)
        advertise(write, row, body.advertised, row.sites)
        return success(status_body(row))

    return writer.run(work)
