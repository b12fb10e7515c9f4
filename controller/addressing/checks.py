"""The checks of a prefix: how they are, and what was answered before."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy import select

from controller.addressing import prefix_checks, rows
from controller.addressing.context import AccountDep, ContextDep
from controller.addressing.envelope import json_response
from controller.addressing.prefix_check_bodies import CheckAnswersBody, ChecksBody
from controller.addressing.tables import PrefixRow
from controller.addressing.times import rfc3339
from controller.addressing.validation_tables import PrefixCheckAnswerRow, PrefixCheckRow
from controller.validation.checks import CHECKS, Check, block, remedy, warnings
from controller.validation.config import NO_SOURCE, ValidationConfig

router = APIRouter(prefix="/herald/v1/accounts/{account_id}/prefixes", tags=["prefix_checks"])

PrefixId = Annotated[str, Path(max_length=32)]


@router.get("/{prefix_id}/checks", response_model=ChecksBody)
def get_checks(account: AccountDep, prefix_id: PrefixId, context: ContextDep) -> Response:
    """All checks of the prefix: states, evidence, ages, warnings, and what each of them blocks."""
    with context.store.read() as session:
        row = rows.the_prefix(session, account, prefix_id)
        found = prefix_checks.rows_of(session, row.id)
    config, now = context.validation.config, datetime.now(UTC)
    kept = {r.name: r for r in found}
    checks = prefix_checks.checks_of(found, evidence=True)
    shown = [_check_body(row, checks[name], kept.get(name), config, now) for name in CHECKS]
    body = {"prefix_id": row.id, "cidr": row.cidr, "required": config.required, "result": shown}
    return json_response(body)


@router.get("/{prefix_id}/checks/history", response_model=CheckAnswersBody)
def get_check_history(
    account: AccountDep,
    prefix_id: PrefixId,
    context: ContextDep,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """What was answered before, newest first; an answer that was the same again is there once."""
    with context.store.read() as session:
        row = rows.the_prefix(session, account, prefix_id)
        found = session.scalars(
            select(PrefixCheckAnswerRow)
            .where(PrefixCheckAnswerRow.prefix_id == row.id)
            .order_by(PrefixCheckAnswerRow.seq.desc())
            .limit(limit)
        ).all()
    return json_response({"result": [_answer_body(a) for a in found]})


def _check_body(
    row: PrefixRow, check: Check, kept: PrefixCheckRow | None, config: ValidationConfig, now: datetime
) -> dict[str, Any]:
    available = check.name in config.available()
    found = list(warnings(check, now))
    blocks = block(check, now) if available else None
    wrong = bool(found) or blocks is not None
    requested = None if kept is None else kept.requested_at
    reason = check.reason
    if not available and check.state == "pending":
        reason = NO_SOURCE
    elif not available:
        found.append(f"{check.name} is as it was last answered: {NO_SOURCE} for it any more")
    return {
        "name": check.name,
        "state": check.state,
        "reason": reason,
        "source": check.source,
        "evidence": check.evidence,
        "at": rfc3339(check.at),
        "confirmed_at": rfc3339(check.confirmed_at),
        "age_s": None if check.confirmed_at is None else max((now - check.confirmed_at).total_seconds(), 0.0),
        "expires_at": rfc3339(check.expires_at),
        "trouble": check.trouble,
        "warnings": found,
        "blocks": blocks if config.required else None,
        "remedy": remedy(check.name, prefix_checks.subject_of(row, config.local_as)) if wrong else None,
        "requested_at": rfc3339(requested),
        "under_way": available and requested is not None and (check.at is None or check.at < requested),
    }


def _answer_body(row: PrefixCheckAnswerRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "at": rfc3339(row.at),
        "outcome": row.outcome,
        "state": row.state,
        "reason": row.reason,
        "source": row.source,
        "evidence": row.evidence,
    }
