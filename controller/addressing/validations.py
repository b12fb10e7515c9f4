"""Validation of a prefix, asked for by its owner or an operator."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from controller.addressing import prefix_checks, rows
from controller.addressing.bodies import Envelope, PrefixBody
from controller.addressing.context import AccountDep, ContextDep
from controller.addressing.envelope import success
from controller.addressing.prefixes import BASE
from controller.addressing.present import prefix_body
from controller.addressing.writes import Write, WriterDep
from controller.validation.checks import CHECKS

router = APIRouter(prefix=BASE, tags=["prefixes"])


@router.post("/{prefix_id}/validate", response_model=Envelope[PrefixBody])
def validate_prefix(account: AccountDep, prefix_id: str, writer: WriterDep, context: ContextDep) -> Response:
    """Begin to check the prefix anew; what is known of it stands until there are answers."""

    def work(write: Write) -> dict[str, Any]:
        row = rows.the_prefix(write.session, account, prefix_id)
        write.match(row)
        prefix_checks.schedule(write.session, row.id, CHECKS, write.now, requested=True)
        write.record("validate", "prefix", row.id, account, cidr=row.cidr)
        write.shows(row)
        return success(prefix_body(row, rows.parts_of(write.session, row.id), write.eye()))

    answer = writer.run(work)
    context.validation.wake()
    return answer
