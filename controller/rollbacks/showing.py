"""Rollbacks, their progress and pins as the API shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from controller.addressing.times import rfc3339
from controller.rollbacks.undone import decoded
from controller.rollout.states import FINISHED
from controller.rollout.tables import RolloutRow, RolloutSiteRow
from controller.snapshots import pins
from controller.snapshots.rollback_tables import PinDecisionRow, PinRow, RollbackAccountRow, RollbackRow
from controller.snapshots.tables import ChangeSetRow

AT_ONCE = 500
MOST_REASONS = 5
TOUCHES_SHOWN = 20
FINISHED_NAMES = frozenset(state.value for state in FINISHED)


def line(session: Session, row: RollbackRow) -> dict[str, Any]:
    """Return a rollback in short."""
    accounts = select(func.count()).where(RollbackAccountRow.rollback_seq == row.seq)
    pinned = select(func.count()).where(PinRow.rollback_seq == row.seq)
    return {
        "id": row.id,
        "snapshot_id": row.snapshot_id,
        "based_on": row.based_on,
        "actor": row.actor,
        "reason": row.reason,
        "at": rfc3339(row.at),
        "accounts": session.scalar(accounts) or 0,
        "pinned": session.scalar(pinned) or 0,
    }


def in_full(session: Session, row: RollbackRow) -> dict[str, Any]:
    """Return a rollback with what it does to each account."""
    parts = _accounts(session, row)
    halves = _change_sets(session, [i for p in parts for i in (p.additive_id, p.subtractive_id) if i])
    pinned = set(session.scalars(select(PinRow.account_id).where(PinRow.rollback_seq == row.seq)))
    return {
        **line(session, row),
        "result": [
            {
                "account_id": part.account_id,
                "additive": _half(halves, part.additive_id),
                "subtractive": _half(halves, part.subtractive_id),
                **msgspec.json.decode(part.report),
                "pinned": part.account_id in pinned,
            }
            for part in parts
        ],
    }


def progress(session: Session, row: RollbackRow) -> dict[str, Any]:
    """Return how far a rollback is: halves by state, and each site's part of the additive ones."""
    parts = _accounts(session, row)
    additive = [p.additive_id for p in parts if p.additive_id is not None]
    subtractive = [p.subtractive_id for p in parts if p.subtractive_id is not None]
    sites: dict[str, dict[str, Any]] = {}
    for some in _parts(additive):
        at_sites = (
            select(RolloutSiteRow.site, RolloutSiteRow.state, RolloutSiteRow.reason)
            .join(RolloutRow, RolloutRow.id == RolloutSiteRow.rollout_id)
            .where(RolloutRow.change_set_id.in_(some))
        )
        for site, state, reason in session.execute(at_sites):
            at = sites.setdefault(site, {"done": 0, "of": len(additive), "reasons": []})
            at["done"] += state in FINISHED_NAMES
            if reason and reason not in at["reasons"] and len(at["reasons"]) < MOST_REASONS:
                at["reasons"].append(reason)
    return {
        "id": row.id,
        "additive": _states(session, additive),
        "subtractive": _states(session, subtractive),
        "sites": dict(sorted(sites.items())),
    }


def pin_body(session: Session, pin: PinRow) -> dict[str, Any]:
    """Return a pin with the change-sets that are to be decided on, oldest first."""
    made = session.get_one(RollbackRow, pin.rollback_seq)
    rows = session.execute(
        select(PinDecisionRow, ChangeSetRow)
        .join(ChangeSetRow, ChangeSetRow.id == PinDecisionRow.change_set_id)
        .where(PinDecisionRow.rollback_seq == pin.rollback_seq, PinDecisionRow.account_id == pin.account_id)
        .order_by(ChangeSetRow.seq)
    ).all()
    return {
        "account_id": pin.account_id,
        "rollback_id": made.id,
        "snapshot_id": made.snapshot_id,
        "since": rfc3339(pin.since),
        "reason": pins.why_pinned(session, pin),
        "open": sum(decision.decision is None for decision, _ in rows),
        "change_sets": [_pinned(decision, row) for decision, row in rows],
    }


def _pinned(decision: PinDecisionRow, row: ChangeSetRow) -> dict[str, Any]:
    made = decoded(row)
    touches = []
    for change in made.changes:
        put = change.prefix or change.bgp_prefix or change.binding
        touches.append(
            " ".join(("remove", *change.remove)) if put is None and change.remove else f"put {_named(put)}"
        )
    return {
        "change_set_id": row.id,
        "actor": row.actor,
        "reason": made.reason,
        "at": rfc3339(row.created_at),
        "state": row.state,
        "touches": touches[:TOUCHES_SHOWN],
        "decision": decision.decision,
        "decided_by": decision.decided_by,
    }


def _named(thing: Any) -> str:
    if thing is None:
        return "nothing"
    word = {"PrefixObject": "prefix", "BgpPrefixObject": "BGP prefix"}.get(type(thing).__name__, "binding")
    advertised = getattr(thing, "advertised", None)
    state = "" if advertised is None else (" advertised" if advertised else " withdrawn")
    return f"{word} {thing.cidr}{state}"


def _accounts(session: Session, row: RollbackRow) -> Sequence[RollbackAccountRow]:
    parts = select(RollbackAccountRow).where(RollbackAccountRow.rollback_seq == row.seq)
    return session.scalars(parts.order_by(RollbackAccountRow.account_id)).all()


def _change_sets(session: Session, ids: Collection[str]) -> dict[str, ChangeSetRow]:
    found: dict[str, ChangeSetRow] = {}
    for some in _parts(ids):
        found |= {r.id: r for r in session.scalars(select(ChangeSetRow).where(ChangeSetRow.id.in_(some)))}
    return found


def _half(rows: dict[str, ChangeSetRow], id_: str | None) -> dict[str, Any] | None:
    row = None if id_ is None else rows.get(id_)
    return None if row is None else {"change_set_id": row.id, "state": row.state, "reason": row.reason}


def _states(session: Session, ids: Collection[str]) -> dict[str, int]:
    states: Counter[str] = Counter()
    for some in _parts(ids):
        states.update(session.scalars(select(ChangeSetRow.state).where(ChangeSetRow.id.in_(some))))
    return dict(sorted(states.items()))


def _parts(ids: Collection[str]) -> list[list[str]]:
    ordered = sorted(ids)
    return [ordered[start : start + AT_ONCE] for start in range(0, len(ordered), AT_ONCE)]
