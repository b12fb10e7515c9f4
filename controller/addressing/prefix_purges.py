"""Purging: the third step after withdrawing and deleting; only when no owner can want it back in time."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy import select

from controller.addressing.auth import CallerDep
from controller.addressing.description import refuses
from controller.addressing.errors import Kind, Refusal, Refusals
from controller.addressing.life_bodies import CreatePrefixPurges, PrefixPurgesBody
from controller.addressing.life_tables import DeletionRow
from controller.addressing.times import rfc3339
from controller.addressing.tombstones import purge
from controller.addressing.who import require_staff
from controller.addressing.writes import Write, WriterDep

router = APIRouter(prefix="/herald/v1/prefix_purges", tags=["prefix_purges"])


@router.post(
    "",
    response_model=PrefixPurgesBody,
    responses=refuses(Kind.COUNT_DISAGREES, Kind.NAMED_TWICE, Kind.UNKNOWN_PREFIX, Kind.GRACE_NOT_OVER),
)
def create_prefix_purges(body: CreatePrefixPurges, caller: CallerDep, writer: WriterDep) -> Response:
    """Remove deleted prefixes for good, all or none; their addresses are free again, their history stays."""
    require_staff(caller)

    def work(write: Write) -> dict[str, Any]:
        tombstones = select(DeletionRow).where(
            DeletionRow.prefix_id.in_(set(body.ids)), DeletionRow.outcome.is_(None)
        )
        if caller.account_id is not None:
            tombstones = tombstones.where(DeletionRow.account_id == caller.account_id)
        found = {d.prefix_id: d for d in write.session.scalars(tombstones)}
        refusals = _offenders(write, body, found)
        if refusals:
            raise Refusals(refusals)
        for id_ in body.ids:
            purge(write, found[id_])
        gone = [{"prefix_id": id_, "cidr": found[id_].cidr} for id_ in body.ids]
        return {"count": len(gone), "result": gone}

    return writer.run(work)


def _offenders(write: Write, body: CreatePrefixPurges, found: dict[str, DeletionRow]) -> list[Refusal]:
    refusals = []
    if body.expected_count != len(body.ids):
        refusals.append(
            Refusal(
                Kind.COUNT_DISAGREES,
                f"{body.expected_count} were expected, and {len(body.ids)} are named: list them anew",
                "/expected_count",
            )
        )
    for index, id_ in enumerate(body.ids):
        pointer = f"/ids/{index}"
        deletion = found.get(id_)
        if id_ in body.ids[:index]:
            refusals.append(Refusal(Kind.NAMED_TWICE, f"{id_!r} is named twice", pointer))
        elif deletion is None:
            refusals.append(Refusal(Kind.UNKNOWN_PREFIX, f"no deleted prefix has the id {id_!r}", pointer))
        elif write.now < deletion.grace_ends_at:
            until = rfc3339(deletion.grace_ends_at)
            refusals.append(
                Refusal(Kind.GRACE_NOT_OVER, f"{deletion.cidr} can be undeleted until {until}: wait", pointer)
            )
    return refusals
