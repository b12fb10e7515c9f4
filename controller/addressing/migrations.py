"""Migrations: an owner moves many prefixes away, by an explicit list, in a window, once confirmed.

The list and the window are one intent. What the owner names of it is a step, in the lane of that name: it
is held until each of its prefixes is seen elsewhere at the same length, and goes on by itself then
(SAFETY.md, 5).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from fastapi import APIRouter, Response
from sqlalchemy import select

from controller.addressing import rules
from controller.addressing.auth import CallerDep
from controller.addressing.bgp_prefixes import advertise
from controller.addressing.context import AccountDep, ContextDep
from controller.addressing.description import refuses
from controller.addressing.envelope import json_response
from controller.addressing.errors import Kind, Refusal, Refusals
from controller.addressing.life_bodies import (
    ConfirmMigration,
    CreateMigration,
    MigrationBody,
    MigrationPage,
    PathId,
    WithdrawMigration,
)
from controller.addressing.life_tables import MigrationRow
from controller.addressing.newest import AfterQuery, LimitQuery, newest_page, page_body
from controller.addressing.tables import BgpPrefixRow
from controller.addressing.times import rfc3339
from controller.addressing.who import require_owner
from controller.addressing.writes import Write, WriterDep
from controller.bgp import Prefix
from controller.guard import holds
from controller.guard.elsewhere import held_under
from controller.safety import migration
from controller.safety.migration import Event, MigrationStateError, State
from controller.snapshots import store as snapshots

router = APIRouter(prefix="/herald/v1/accounts/{account_id}/migrations", tags=["migrations"])

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")


@router.get("", response_model=MigrationPage)
def list_migrations(
    account: AccountDep, context: ContextDep, after: AfterQuery = None, limit: LimitQuery = 100
) -> Response:
    """The account's migrations, newest first."""
    query = select(MigrationRow).where(MigrationRow.account_id == account)
    now = datetime.now(UTC)
    with context.store.read() as session:
        key = (MigrationRow.created_at, MigrationRow.id)
        found, following = newest_page(session, query, key, after, limit)
    return json_response(page_body(found, following, lambda row: _body(row, now)))


@router.get("/{migration_id}", response_model=MigrationBody)
def get_migration(account: AccountDep, migration_id: PathId, context: ContextDep) -> Response:
    """One migration: its plan, how far it is, and the code that confirms it."""
    with context.store.read() as session:
        row = session.get(MigrationRow, migration_id)
    return json_response(_body(_mine(row, account, migration_id), datetime.now(UTC)))


@router.post(
    "",
    response_model=MigrationBody,
    responses=refuses(
        Kind.INVALID_PREFIX,
        Kind.COUNT_DISAGREES,
        Kind.NAMED_TWICE,
        Kind.UNKNOWN_PREFIX,
        Kind.OUTSIDE_WINDOW,
    ),
)
def create_migration(
    account: AccountDep, body: CreateMigration, caller: CallerDep, writer: WriterDep
) -> Response:
    """Plan a migration; nothing is withdrawn. The answer's ``confirmation`` confirms exactly this plan."""
    require_owner(caller, account, "move prefixes away")

    def work(write: Write) -> dict[str, Any]:
        not_before, not_after = _window(write, body)
        cidrs = [rules.canonical(c, f"/cidrs/{i}") for i, c in enumerate(body.cidrs)]
        refusals = [] if body.expected_count == len(cidrs) else [_miscounted(body)]
        refusals += _unknown(
            cidrs, set(_bgp_prefixes(write, account, cidrs)), "the account has no BGP prefix"
        )
        if refusals:
            raise Refusals(refusals)
        id_ = uuid4().hex
        row = MigrationRow(
            id=id_,
            account_id=account,
            cidrs=cidrs,
            withdrawn=[],
            not_before=not_before,
            not_after=not_after,
            reason=body.reason,
            state=State.PLANNED.value,
            confirmation=migration.confirmation(id_, account, cidrs, not_before, not_after),
            created_by=caller.token_id,
            created_at=write.now,
            modified_at=write.now,
        )
        write.session.add(row)
        write.record("plan", "migration", id_, account, cidrs=cidrs, reason=body.reason)
        write.shows(row)
        return _body(row, write.now)

    return writer.run(work)


@router.post(
    "/{migration_id}/confirm",
    response_model=MigrationBody,
    responses=refuses(Kind.NOT_IN_THAT_STATE, Kind.CONFIRMATION_DIFFERS),
)
def confirm_migration(
    account: AccountDep, migration_id: PathId, body: ConfirmMigration, caller: CallerDep, writer: WriterDep
) -> Response:
    """Confirm the plan: one intent over its list and window is signed."""
    require_owner(caller, account, "confirm a migration")

    def work(write: Write) -> dict[str, Any]:
        row = _row(write, account, migration_id)
        if not hmac.compare_digest(row.confirmation.encode(), body.confirmation.encode("utf-8", "replace")):
            raise Refusal(
                Kind.CONFIRMATION_DIFFERS,
                "this confirms another plan: GET this one and look",
                "/confirmation",
            )
        _step(write, row, Event.CONFIRMED)
        row.text = write.context.intents.sign(
            account,
            "withdraw",
            [Prefix(c) for c in row.cidrs],
            asked_by=(caller.token_id,),
            sites=None,
            generation=snapshots.head_of(write.session, account),
            now=write.now,
            not_before=max(row.not_before, write.now),
            expires_at=row.not_after,
        )
        write.record("confirm", "migration", row.id, account)
        write.shows(row)
        return _body(row, write.now)

    return writer.run(work)


@router.post(
    "/{migration_id}/withdraw",
    response_model=MigrationBody,
    responses=refuses(
        Kind.NOT_IN_THAT_STATE,
        Kind.OUTSIDE_WINDOW,
        Kind.NAMED_TWICE,
        Kind.UNKNOWN_PREFIX,
        Kind.STATE_LOCKED,
        Kind.PREFIX_NOT_APPROVED,
        Kind.INCOMPLETE_DEPLOYMENT,
    ),
)
def withdraw_migration(
    account: AccountDep, migration_id: PathId, body: WithdrawMigration, caller: CallerDep, writer: WriterDep
) -> Response:
    """Withdraw some of the list, in the window, as one change-set under the migration's intent.

    It is held until each prefix is seen elsewhere at the same length, and goes on by itself then.
    """
    require_owner(caller, account, "withdraw for a migration")

    def work(write: Write) -> dict[str, Any]:
        row = _row(write, account, migration_id)
        cidrs = [Prefix(c) for c in body.cidrs]
        done = {*row.withdrawn, *cidrs}
        _step(write, row, Event.WITHDREW_LAST if done >= set(row.cidrs) else Event.WITHDREW_SOME)
        if write.now < row.not_before:
            raise Refusal(Kind.OUTSIDE_WINDOW, f"the window opens at {rfc3339(row.not_before)}: wait")
        found = _bgp_prefixes(write, account, cidrs)
        refusals = _unknown(cidrs, set(row.cidrs), "the migration does not list")
        refusals = refusals or _unknown(cidrs, set(found), "the account no longer has the BGP prefix")
        if refusals:
            raise Refusals(refusals)
        for cidr in cidrs:
            advertise(write, found[cidr], False, found[cidr].sites)
        assert row.text is not None  # it was confirmed
        write.carry(account, row.text)
        write.take_lane(account, "migration")
        row.withdrawn = [c for c in row.cidrs if c in done]
        write.record("withdraw", "migration", row.id, account, cidrs=cidrs)
        write.shows(row)
        return _body(row, write.now)

    return writer.run(work)


@router.post(
    "/{migration_id}/cancel", response_model=MigrationBody, responses=refuses(Kind.NOT_IN_THAT_STATE)
)
def cancel_migration(
    account: AccountDep, migration_id: PathId, caller: CallerDep, writer: WriterDep
) -> Response:
    """End a migration: nothing more is withdrawn under it, and what was stays withdrawn.

    Steps of it that still wait are dropped.
    """

    def work(write: Write) -> dict[str, Any]:
        row = _row(write, account, migration_id)
        _step(write, row, Event.CANCELLED)
        for step in [] if row.text is None else held_under(write.session, account, row.text):
            holds.drop(write.session, step, caller.actor, "its migration was cancelled", write.now)
        write.record("cancel", "migration", row.id, account)
        write.shows(row)
        return _body(row, write.now)

    return writer.run(work)


def _mine(row: MigrationRow | None, account: str, migration_id: str) -> MigrationRow:
    if row is None or row.account_id != account:
        raise Refusal(Kind.NOT_FOUND, f"account {account} has no migration {migration_id!r}")
    return row


def _row(write: Write, account: str, migration_id: str) -> MigrationRow:
    row = _mine(write.session.get(MigrationRow, migration_id), account, migration_id)
    write.match(row)
    return row


def _step(write: Write, row: MigrationRow, event: Event) -> None:
    try:
        state = migration.step(migration.at(State(row.state), row.not_after, write.now), event)
    except MigrationStateError as error:
        raise Refusal(Kind.NOT_IN_THAT_STATE, str(error)) from error
    row.state, row.modified_at = state.value, write.now


def _bgp_prefixes(write: Write, account: str, cidrs: Sequence[Prefix]) -> dict[str, BgpPrefixRow]:
    live = select(BgpPrefixRow).where(
        BgpPrefixRow.account_id == account,
        BgpPrefixRow.cidr.in_(set(cidrs)),
        BgpPrefixRow.deleted_at.is_(None),
    )
    return {row.cidr: row for row in write.session.scalars(live)}


def _unknown(cidrs: Sequence[Prefix], known: set[str], what: str) -> list[Refusal]:
    refusals = []
    seen: set[str] = set()
    for index, cidr in enumerate(cidrs):
        if cidr in seen:
            refusals.append(Refusal(Kind.NAMED_TWICE, f"{cidr} is named twice", f"/cidrs/{index}"))
        elif cidr not in known:
            refusals.append(Refusal(Kind.UNKNOWN_PREFIX, f"{what} {cidr!r}", f"/cidrs/{index}"))
        seen.add(cidr)
    return refusals


def _miscounted(body: CreateMigration) -> Refusal:
    return Refusal(
        Kind.COUNT_DISAGREES,
        f"{body.expected_count} were expected, and {len(body.cidrs)} are named: list them anew",
        "/expected_count",
    )


def _window(write: Write, body: CreateMigration) -> tuple[datetime, datetime]:
    not_before, not_after = _time(body.not_before, "/not_before"), _time(body.not_after, "/not_after")
    longest = write.context.life.longest_window_s
    if not not_before < not_after or not_after <= write.now:
        raise Refusal(Kind.OUTSIDE_WINDOW, "the window must end after it begins, and after now", "/not_after")
    if (not_after - max(not_before, write.now)).total_seconds() > longest:
        raise Refusal(Kind.OUTSIDE_WINDOW, f"a window is {longest} s long at most", "/not_after")
    return not_before, not_after


def _time(text: str, pointer: str) -> datetime:
    try:
        if TIME.fullmatch(text) is None:
            raise ValueError("it must read like 2026-02-20T17:56:00Z")  # noqa: TRY301 (one way out)
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Refusal(Kind.MALFORMED_BODY, f"{text!r} is no RFC 3339 time: {error}", pointer) from error


def _body(row: MigrationRow, now: datetime) -> dict[str, Any]:
    return {
        "id": row.id,
        "state": migration.at(State(row.state), row.not_after, now).value,
        "account_id": row.account_id,
        "cidrs": row.cidrs,
        "withdrawn": row.withdrawn,
        "not_before": rfc3339(row.not_before),
        "not_after": rfc3339(row.not_after),
        "reason": row.reason,
        "confirmation": row.confirmation,
        "created_at": rfc3339(row.created_at),
        "modified_at": rfc3339(row.modified_at),
    }
