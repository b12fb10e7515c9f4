"""The foreseen blast radius of a write: what ``dry_run=true`` answers with.

Each change-set is compiled against its account's operational chunk as it is now, as the roll-out will do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from controller.addressing.tables import BgpPrefixRow
from controller.bgp import Prefix
from controller.safety.effects import Effect, effects, subtractive
from controller.snapshots import store as snapshots
from controller.snapshots.compile import apply
from controller.snapshots.model import ChangeSet, Chunk, SnapshotError


def plan(session: Session, change_sets: Sequence[ChangeSet], sites: Sequence[str]) -> dict[str, Any]:
    """Return what ``change_sets`` would do: counts, shares and each effect.

    ``share``: the withdrawn BGP prefixes as a part of all that are advertised, by anybody and by the
    accounts concerned. A change-set that does not fit the operational state has a ``problem``.
    """
    parts: list[dict[str, Any]] = []
    all_effects: list[Effect] = []
    compiled: dict[str, Chunk | None] = {}  # a later change-set of an account stands on the one before
    withdrawn: set[tuple[str, Prefix]] = set()
    for change_set in change_sets:
        account_id = change_set.account_id
        part: dict[str, Any] = {"account_id": account_id, "effects": [], "problem": None}
        parts.append(part)
        try:
            if account_id not in compiled:
                head = snapshots.head_of(session, account_id)
                compiled[account_id] = None if head is None else snapshots.chunk(session, head)
            old = compiled[account_id]
            compiled[account_id] = new = apply(old, change_set)
            found = effects(old, new, sites)
        except SnapshotError as error:
            part["problem"] = str(error)
            continue
        all_effects += found
        withdrawn |= {(account_id, e.cidr) for e in found if e.verb == "withdraw"}
        part["effects"] = [{**msgspec.to_builtins(e), "kind": e.kind} for e in found]
    accounts = [c.account_id for c in change_sets]
    return {
        "accounts": len(set(accounts)),
        "prefixes": len({e.cidr for e in all_effects}),
        "sites": sorted({e.site for e in all_effects}),
        "additive": len(all_effects) - len(subtractive(all_effects)),
        "subtractive": len(subtractive(all_effects)),
        "share": {
            "fleet": _share(len(withdrawn), _advertised(session, None)),
            "accounts": _share(len(withdrawn), _advertised(session, accounts)),
        },
        "change_sets": parts,
    }


def _advertised(session: Session, accounts: Sequence[str] | None) -> int:
    """Count the BGP prefixes that the operational state announces, or is about to."""
    wanted = select(func.count()).where(BgpPrefixRow.advertised, BgpPrefixRow.deleted_at.is_(None))
    if accounts is not None:
        wanted = wanted.where(BgpPrefixRow.account_id.in_(accounts))
    return session.scalar(wanted) or 0


def _share(part: int, left: int) -> float:
    """Return part ÷ whole; ``left`` is counted after the write, so that the whole is both together."""
    return round(part / (part + left), 6) if part else 0.0
