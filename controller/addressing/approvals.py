"""Approval of a prefix: an operator has seen that it is the customer's."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from controller.addressing import rows
from controller.addressing.auth import CallerDep
from controller.addressing.bodies import Envelope, PrefixBody
from controller.addressing.context import AccountDep
from controller.addressing.description import refuses
from controller.addressing.envelope import success
from controller.addressing.errors import Kind, Refusal
from controller.addressing.prefixes import BASE
from controller.addressing.present import prefix_body
from controller.addressing.revocations import against, said
from controller.addressing.validation_gate import may_approve
from controller.addressing.writes import Write, WriterDep
from controller.bgp import Prefix
from controller.snapshots.model import Change

router = APIRouter(prefix=BASE, tags=["prefixes"])


@router.post(
    "/{prefix_id}/approve",
    response_model=Envelope[PrefixBody],
    responses=refuses(Kind.APPROVAL_NEEDS_REASON),
)
def approve_prefix(account: AccountDep, prefix_id: str, caller: CallerDep, writer: WriterDep) -> Response:
    """Approve; it creates nothing by itself: the default binding makes the BGP prefix.

    To approve again, with a reason, what the revocation ledger has entries against is a new decision: these
    hold no longer.
    """
    caller.require_operator()

    def work(write: Write) -> dict[str, Any]:
        row = rows.the_prefix(write.session, account, prefix_id)
        write.match(row)
        revoked = against(write.session, row, Prefix(row.cidr)) if row.approved else []
        if revoked and not write.reason:
            raise Refusal(
                Kind.APPROVAL_NEEDS_REASON,
                f"{said(revoked)}: say in Herald-Reason why it may be announced again",
                "/header/Herald-Reason",
            )
        if revoked or not row.approved:
            may_approve(write.session, row, write.context.validation.config, write.reason)
            row.approved, row.approved_at, row.modified_at = True, write.now, write.now
            write.record(
                "approve", "prefix", row.id, account, cidr=row.cidr, lifts=[entry.seq for entry in revoked]
            )
            write.change(account, Change(prefix=rows.prefix_object(row)))
        write.shows(row)
        return success(prefix_body(row, rows.parts_of(write.session, row.id), write.eye()))

    return writer.run(work)
