"""The revocation ledger: what no roll-back and no undelete may bring back (SAFETY.md, 8). It only grows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.addressing import rules
from controller.addressing.auth import CallerDep
from controller.addressing.context import ContextDep
from controller.addressing.description import refuses
from controller.addressing.envelope import json_response
from controller.addressing.errors import Kind, Refusal
from controller.addressing.life_bodies import CreateRevocation, RevocationBody, RevocationPage
from controller.addressing.life_tables import RevocationRow
from controller.addressing.tables import AccountRow, PrefixRow
from controller.addressing.times import rfc3339
from controller.addressing.writes import Write, WriterDep
from controller.bgp import Prefix, covers
from controller.safety.registry import narrows

RevocationKind = Literal["transfer", "loa_withdrawn", "legal_order", "origin_deauthorised"]

router = APIRouter(prefix="/herald/v1/revocations", tags=["revocations"])


@router.get("", response_model=RevocationPage)
def list_revocations(
    caller: CallerDep,
    context: ContextDep,
    after: Annotated[int, Query(ge=0, le=2**31 - 1, description="Those with a higher seq.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Entries in order; who is kept to one account sees those of its own."""
    query = select(RevocationRow).where(RevocationRow.seq > after).order_by(RevocationRow.seq)
    if caller.account_id is not None:
        query = query.where(RevocationRow.account_id == caller.account_id)
    with context.store.read() as session:
        found = session.scalars(query.limit(limit + 1)).all()
    shown = found[:limit]
    following = shown[-1].seq if len(found) > limit else None
    return json_response({"result": [_body(r) for r in shown], "next": following})


@router.post("", response_model=RevocationBody, responses=refuses(Kind.INVALID_PREFIX, Kind.UNKNOWN_PREFIX))
def create_revocation(body: CreateRevocation, caller: CallerDep, writer: WriterDep) -> Response:
    """Enter a legal order. It takes nothing off the air by itself; it keeps things from coming back."""
    caller.require_operator()

    def work(write: Write) -> dict[str, Any]:
        cidr = rules.canonical(body.cidr, "/cidr")
        if write.session.get(AccountRow, body.account_id) is None:
            raise Refusal(Kind.UNKNOWN_PREFIX, f"there is no account {body.account_id!r}", "/account_id")
        return _body(revoke(write, body.kind, body.account_id, cidr, body.reason))

    return writer.run(work)


def revoke(write: Write, kind: RevocationKind, account_id: str, cidr: str, reason: str) -> RevocationRow:
    """Enter into the ledger that ``account_id`` lost ``cidr``."""
    row = RevocationRow(
        at=write.now,
        kind=kind,
        account_id=account_id,
        cidr=cidr,
        reason=reason,
        actor=write.caller.actor,
    )
    write.session.add(row)
    write.session.flush()
    write.record("revoke", "revocation", str(row.seq), account_id, cidr=cidr, revocation=kind)
    return row


def revoked_since(session: Session, account_id: str, cidr: str, since: datetime) -> RevocationRow | None:
    """Return the first entry since then that took a part of ``cidr``, or all of it, from the account."""
    entries = (
        select(RevocationRow)
        .where(RevocationRow.account_id == account_id, RevocationRow.at >= since)
        .order_by(RevocationRow.seq)
    )
    mine = Prefix(cidr)
    for row in session.scalars(entries):
        taken = Prefix(row.cidr)
        if covers(taken, mine) or covers(mine, taken):
            return row
    return None


def against(session: Session, prefix: PrefixRow, cidr: Prefix) -> list[RevocationRow]:
    """Return what the ledger holds against announcing ``cidr``, a part of ``prefix``: since its approval."""
    entries = (
        select(RevocationRow).where(RevocationRow.account_id == prefix.account_id).order_by(RevocationRow.seq)
    )
    return [
        row
        for row in session.scalars(entries)
        if narrows(row.kind, row.at, prefix.approved_at)
        and (covers(Prefix(row.cidr), cidr) or covers(cidr, Prefix(row.cidr)))
    ]


def may_announce(session: Session, prefix: PrefixRow, cidr: Prefix) -> None:
    """Refuse to announce ``cidr`` anew while the ledger forbids it; sites would refuse it, too."""
    found = against(session, prefix, cidr)
    if found:
        raise Refusal(
            Kind.REVOKED,
            f"{cidr} cannot be announced anew: {said(found)}; an operator may approve {prefix.cidr} again",
        )


def said(found: Iterable[RevocationRow]) -> str:
    """Say what was revoked, by which entries."""
    return "; ".join(
        f"{row.cidr} was revoked ({row.kind}, entry {row.seq} of the ledger: {row.reason})" for row in found
    )


def _body(row: RevocationRow) -> dict[str, Any]:
    return {
        "seq": row.seq,
        "at": rfc3339(row.at),
        "kind": row.kind,
        "account_id": row.account_id,
        "cidr": row.cidr,
        "reason": row.reason,
        "actor": row.actor,
    }
