"""Bulk deletion: what a clean-up may do, and nothing beyond it.

It names every prefix and how many there are, repeats the selector of the list that they came from, and is
refused whole, with each offender named, unless every single one is there, withdrawn, unlocked, and wanted
gone: by its owner's own request, or by the intent of two operators.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from controller.addressing import map_uses, rows
from controller.addressing.all_prefixes import count_selected, selected
from controller.addressing.auth import CallerDep
from controller.addressing.context import ContextDep
from controller.addressing.description import refuses
from controller.addressing.envelope import json_response
from controller.addressing.errors import Kind, Refusal, Refusals
from controller.addressing.life_bodies import CreatePrefixDeletions, PrefixDeletionsBody, TombstonePage
from controller.addressing.life_tables import DeletionRequestRow, DeletionRow
from controller.addressing.subtractive import lock_refusal, locks_on
from controller.addressing.tables import PrefixRow
from controller.addressing.tombstones import deletion_body, tombstone
from controller.addressing.who import require_staff
from controller.addressing.writes import Write, WriterDep
from controller.bgp import Prefix, covers
from controller.safety.intents import Intent, IntentError

router = APIRouter(prefix="/herald/v1/prefix_deletions", tags=["prefix_deletions"])


@dataclass(slots=True)
class _Wanted:
    """Who wants each prefix gone: texts of owners' requests by prefix id, and the operators' intent."""

    requests: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    named: tuple[str, Intent] | None = None


@router.get("", response_model=TombstonePage)
def list_prefix_deletions(
    *,
    caller: CallerDep,
    context: ContextDep,
    grace_over: Annotated[
        bool | None, Query(description="true: only those that no undelete brings back; false: the others.")
    ] = None,
    after: Annotated[
        str | None, Query(min_length=1, max_length=32, description="Those after this id: `next` of a page.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """Tombstones of all accounts (neither brought back nor purged), in the order of their ids."""
    require_staff(caller)
    now = datetime.now(UTC)
    wanted: list[ColumnElement[bool]] = [DeletionRow.outcome.is_(None)]
    if grace_over is not None:
        ended = DeletionRow.grace_ends_at <= now
        wanted.append(ended if grace_over else DeletionRow.grace_ends_at > now)
    if caller.account_id is not None:
        wanted.append(DeletionRow.account_id == caller.account_id)
    with context.store.read() as session:
        query = select(DeletionRow).where(*wanted).order_by(DeletionRow.id).limit(limit + 1)
        if after is not None:
            query = query.where(DeletionRow.id > after)
        found = session.scalars(query).all()
        total = session.scalar(select(func.count()).select_from(DeletionRow).where(*wanted)) or 0
    return json_response(
        {
            "selector": {"grace_over": grace_over},
            "total": total,
            "result": [deletion_body(d) for d in found[:limit]],
            "next": found[limit - 1].id if len(found) > limit else None,
        }
    )


@router.post(
    "",
    response_model=PrefixDeletionsBody,
    responses=refuses(
        Kind.COUNT_DISAGREES,
        Kind.NAMED_TWICE,
        Kind.UNKNOWN_PREFIX,
        Kind.WITHDRAWAL_LOCKED,
        Kind.STILL_ADVERTISED,
        Kind.BINDING_IN_USE,
        Kind.NOT_PENDING_DELETE,
    ),
)
def create_prefix_deletions(body: CreatePrefixDeletions, caller: CallerDep, writer: WriterDep) -> Response:
    """Delete prefixes whose owners asked for it, all or none; each can be undeleted for a time."""
    require_staff(caller)
    if body.selector is not None and body.selector.account_id is not None:
        caller.require_account(body.selector.account_id)

    def work(write: Write) -> dict[str, Any]:
        found = _prefixes(write.session, body.ids, caller.account_id)
        wanted = _wanted(write, found)
        refusals = [*_counts(write.session, body), *_offenders(write.session, body, found, wanted)]
        if refusals:
            raise Refusals(refusals)
        made = []
        for id_ in body.ids:
            prefix = found[id_]
            _carry(write, prefix, wanted)
            made.append(tombstone(write, prefix, body.reason))
        write.session.flush()
        return {"count": len(made), "result": [deletion_body(d) for d in made]}

    return writer.run(work)


def _prefixes(session: Session, ids: Sequence[str], account_id: str | None) -> dict[str, PrefixRow]:
    """Return those that are there, by id; ``account_id``: the only account that the caller may touch."""
    live = select(PrefixRow).where(PrefixRow.id.in_(set(ids)), PrefixRow.deleted_at.is_(None))
    if account_id is not None:
        live = live.where(PrefixRow.account_id == account_id)
    return {p.id: p for p in session.scalars(live)}


def _wanted(write: Write, found: dict[str, PrefixRow]) -> _Wanted:
    """Check all intents once; one that no longer holds is as if it had not been given, and says why."""
    wanted = _Wanted()
    if write.named_intent.is_named:
        wanted.named = write.named_intent.look()
    requests = select(DeletionRequestRow).where(DeletionRequestRow.prefix_id.in_(found))
    for row in write.session.scalars(requests):
        prefix = found[row.prefix_id]
        try:
            intent = write.context.intents.check(row.text, write.now)
        except IntentError as error:
            wanted.problems[prefix.id] = str(error)
            continue
        if _asks_for(intent, prefix):
            wanted.requests[prefix.id] = row.text
    return wanted


def _asks_for(intent: Intent, prefix: PrefixRow) -> bool:
    return (
        intent.kind == "delete"
        and intent.sites is None
        and intent.account_id == prefix.account_id
        and any(covers(p, Prefix(prefix.cidr)) for p in intent.prefixes)
    )


def _carry(write: Write, prefix: PrefixRow, wanted: _Wanted) -> None:
    """Let the account's change-set carry who wanted it."""
    text = wanted.requests.get(prefix.id)
    if text is not None:
        write.carry(prefix.account_id, text)
    elif wanted.named is not None:
        write.carry_once(prefix.account_id, wanted.named[0])
        write.named_intent.use(write.change_set_id(prefix.account_id))


def _counts(session: Session, body: CreatePrefixDeletions) -> list[Refusal]:
    refusals = []
    if body.expected_count != len(body.ids):
        refusals.append(
            Refusal(
                Kind.COUNT_DISAGREES,
                f"{body.expected_count} were expected, and {len(body.ids)} are named: list them anew",
                "/expected_count",
            )
        )
    if body.selector is not None:
        now = count_selected(session, selected(body.selector.pending_delete, body.selector.account_id))
        if now != body.expected_count:
            refusals.append(
                Refusal(
                    Kind.COUNT_DISAGREES,
                    f"{body.expected_count} were expected, the selector matches {now} now: list them anew",
                    "/selector",
                )
            )
    return refusals


def _offenders(
    session: Session, body: CreatePrefixDeletions, found: dict[str, PrefixRow], wanted: _Wanted
) -> list[Refusal]:
    locks = locks_on(session, found)
    advertised = {b.prefix_id: b.cidr for b in rows.bgp_prefixes_in(session, list(found)) if b.advertised}
    refusals: list[Refusal] = []
    seen: set[str] = set()
    for index, id_ in enumerate(body.ids):
        pointer = f"/ids/{index}"
        prefix = found.get(id_)
        refusal: Refusal | None = None
        if id_ in seen:
            refusal = Refusal(Kind.NAMED_TWICE, f"{id_!r} is named twice", pointer)
        elif prefix is None:
            refusal = Refusal(Kind.UNKNOWN_PREFIX, f"there is no prefix {id_!r}", pointer)
        elif id_ in locks:
            refusal = lock_refusal(locks[id_], prefix.cidr, pointer)
        elif id_ in advertised:
            refusal = Refusal(
                Kind.STILL_ADVERTISED,
                f"{advertised[id_]} is advertised: its owner withdraws it first",
                pointer,
            )
        elif mapped := map_uses.enabled_in(session, Prefix(prefix.cidr)):
            address_map, entry = mapped[0]
            refusal = Refusal(
                Kind.BINDING_IN_USE, f"{entry.ip} is in the enabled address map {address_map.id}", pointer
            )
        else:
            refusal = _unwanted(prefix, body, wanted, pointer)
        seen.add(id_)
        if refusal is not None:
            refusals.append(refusal)
    return refusals


def _unwanted(
    prefix: PrefixRow, body: CreatePrefixDeletions, wanted: _Wanted, pointer: str
) -> Refusal | None:
    """Return why nobody wants ``prefix`` gone, or None."""
    chosen = body.selector
    if chosen is not None and (
        (chosen.account_id is not None and chosen.account_id != prefix.account_id)
        or (
            chosen.pending_delete is not None
            and chosen.pending_delete != (prefix.pending_delete_at is not None)
        )
    ):
        return Refusal(Kind.COUNT_DISAGREES, f"{prefix.cidr} does not match the selector", pointer)
    if prefix.id in wanted.requests:
        return None
    if wanted.named is not None and _asks_for(wanted.named[1], prefix):
        return None
    why = wanted.problems.get(prefix.id, "neither its owner nor two operators asked for it")
    return Refusal(Kind.NOT_PENDING_DELETE, f"{prefix.cidr} stays: {why}", pointer)
