"""Intents of two operators: one asks, another confirms, and what is signed may be used once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from fastapi import APIRouter, Response
from sqlalchemy import select

from controller.addressing import rows, rules
from controller.addressing.auth import CallerDep
from controller.addressing.context import ContextDep
from controller.addressing.description import refuses
from controller.addressing.envelope import json_response
from controller.addressing.errors import Kind, Refusal
from controller.addressing.life_bodies import (
    CreateIntentRequest,
    IntentKeyList,
    IntentRequestBody,
    IntentRequestPage,
    PathId,
)
from controller.addressing.life_policy import after as moment_after
from controller.addressing.life_tables import IntentRequestRow
from controller.addressing.newest import AfterQuery, LimitQuery, newest_page, page_body
from controller.addressing.persons import require_second_operator
from controller.addressing.tables import AccountRow
from controller.addressing.times import rfc3339
from controller.addressing.writes import Write, WriterDep
from controller.bgp import Prefix, covers
from controller.safety.intents import IntentKind
from controller.snapshots import store as snapshots

keys_router = APIRouter(prefix="/herald/v1/intents", tags=["intents"])
router = APIRouter(prefix="/herald/v1/intent_requests", tags=["intent_requests"])


@keys_router.get("/keys", response_model=IntentKeyList)
def list_intent_keys(caller: CallerDep, context: ContextDep) -> Response:
    """The public keys that intents are checked with; intents of a key that is no longer here are void."""
    return json_response({"result": context.intents.described()})


@router.get("", response_model=IntentRequestPage)
def list_intent_requests(
    caller: CallerDep, context: ContextDep, after: AfterQuery = None, limit: LimitQuery = 100
) -> Response:
    """What operators asked for, newest first."""
    caller.require_operator()
    now = datetime.now(UTC)
    with context.store.read() as session:
        key = (IntentRequestRow.requested_at, IntentRequestRow.id)
        found, following = newest_page(session, select(IntentRequestRow), key, after, limit)
    return json_response(page_body(found, following, lambda row: _body(row, now)))


@router.get("/{request_id}", response_model=IntentRequestBody)
def get_intent_request(request_id: PathId, caller: CallerDep, context: ContextDep) -> Response:
    """One of them."""
    caller.require_operator()
    with context.store.read() as session:
        row = session.get(IntentRequestRow, request_id)
    if row is None:
        raise Refusal(Kind.NOT_FOUND, f"there is no intent request {request_id!r}")
    return json_response(_body(row, datetime.now(UTC)))


@router.post(
    "",
    response_model=IntentRequestBody,
    responses=refuses(Kind.INVALID_PREFIX, Kind.INVALID_SITE, Kind.UNKNOWN_PREFIX, Kind.NAMED_TWICE),
)
def create_intent_request(body: CreateIntentRequest, caller: CallerDep, writer: WriterDep) -> Response:
    """Ask for an intent; nothing is signed until another operator confirms it."""
    caller.require_operator()

    def work(write: Write) -> dict[str, Any]:
        longest = write.context.life.longest_intent_s
        if body.expires_in_s > longest:
            raise Refusal(Kind.MALFORMED_BODY, f"an intent holds for {longest} s at most", "/expires_in_s")
        prefixes = _prefixes(write, body)
        sites = rules.known_sites(body.sites, write.context.sites, "/sites")
        if body.kind == "narrow" and sites is None:
            raise Refusal(Kind.INVALID_SITE, "narrow needs the sites that are to be left", "/sites")
        row = IntentRequestRow(
            id=uuid4().hex,
            account_id=body.account_id,
            kind=body.kind,
            prefixes=prefixes,
            sites=sites,
            reason=body.reason,
            requested_by=caller.token_id,
            requested_at=write.now,
            expires_at=moment_after(write.now, body.expires_in_s),
        )
        write.session.add(row)
        write.record(
            "ask", "intent_request", row.id, row.account_id, intent=row.kind, prefixes=prefixes, sites=sites
        )
        write.session.flush()
        return _body(row, write.now)

    return writer.run(work)


@router.post(
    "/{request_id}/confirm",
    response_model=IntentRequestBody,
    responses=refuses(Kind.SECOND_OPERATOR, Kind.NOT_IN_THAT_STATE, Kind.INTENT_NOT_USABLE),
)
def confirm_intent_request(request_id: PathId, caller: CallerDep, writer: WriterDep) -> Response:
    """Confirm what another operator asked for: it is signed, and a write may name it once."""
    caller.require_operator()

    def work(write: Write) -> dict[str, Any]:
        row = write.session.get(IntentRequestRow, request_id)
        if row is None:
            raise Refusal(Kind.NOT_FOUND, f"there is no intent request {request_id!r}")
        _may_confirm(write, row, caller.token_id)
        kind: IntentKind = row.kind  # type: ignore[assignment]  # one of them, by what could be asked
        row.text = write.context.intents.sign(
            row.account_id,
            kind,
            [Prefix(p) for p in row.prefixes],
            asked_by=(row.requested_by, caller.token_id),
            sites=row.sites,
            generation=snapshots.head_of(write.session, row.account_id),
            now=write.now,
            expires_at=row.expires_at,
        )
        row.confirmed_by, row.confirmed_at = caller.token_id, write.now
        write.record("confirm", "intent_request", row.id, row.account_id, requested_by=row.requested_by)
        return _body(row, write.now)

    return writer.run(work)


def _may_confirm(write: Write, row: IntentRequestRow, token_id: str) -> None:
    if row.confirmed_by is not None:
        raise Refusal(Kind.NOT_IN_THAT_STATE, f"intent request {row.id} is confirmed already: use it")
    if write.now >= row.expires_at:
        raise Refusal(Kind.INTENT_NOT_USABLE, f"intent request {row.id} has expired: ask again")
    require_second_operator(write.session, row.requested_by, token_id)


def _prefixes(write: Write, body: CreateIntentRequest) -> list[str]:
    if write.session.get(AccountRow, body.account_id) is None:
        raise Refusal(Kind.UNKNOWN_PREFIX, f"there is no account {body.account_id!r}", "/account_id")
    found: list[str] = []
    for index, text in enumerate(body.prefixes):
        pointer = f"/prefixes/{index}"
        cidr = rules.canonical(text, pointer)
        if cidr in found:
            raise Refusal(Kind.NAMED_TWICE, f"{cidr} is named twice", pointer)
        around = [p.cidr for p in rows.overlapping(write.session, cidr) if p.account_id == body.account_id]
        if not any(covers(Prefix(outer), cidr) for outer in around):
            raise Refusal(
                Kind.UNKNOWN_PREFIX, f"account {body.account_id} has no prefix around {cidr}", pointer
            )
        found.append(cidr)
    return found


def _body(row: IntentRequestRow, now: datetime) -> dict[str, Any]:
    state = "signed" if row.text is not None else "pending"
    if row.used_at is not None:
        state = "used"
    elif now >= row.expires_at:
        state = "expired"
    return {
        "id": row.id,
        "state": state,
        "account_id": row.account_id,
        "kind": row.kind,
        "prefixes": row.prefixes,
        "sites": row.sites,
        "reason": row.reason,
        "requested_by": row.requested_by,
        "requested_at": rfc3339(row.requested_at),
        "expires_at": rfc3339(row.expires_at),
        "confirmed_by": row.confirmed_by,
        "confirmed_at": rfc3339(row.confirmed_at),
        "used_at": rfc3339(row.used_at),
        "used_for": row.used_for,
    }
