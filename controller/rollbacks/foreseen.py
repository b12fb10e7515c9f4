"""What a rollback would do: the plan, read from the store. Its cost is that of the accounts that differ."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.addressing.errors import Kind, Refusal
from controller.addressing.tables import AccountRow
from controller.rollbacks.limits import limits
from controller.snapshots import store as snapshots
from controller.snapshots.diff import TreeStep
from controller.snapshots.model import Chunk, ChunkHash, DamagedChunkError, SnapshotError
from controller.snapshots.rollback import AccountPlan, plan
from controller.snapshots.store import ThinnedSnapshotError
from controller.snapshots.tables import SnapshotRow

MOST_NAMED = 5
"""Accounts that a refusal names."""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """``snapshot``: where to; ``head``: the newest one, that all was read at; ``steps``: from now to then."""

    snapshot: SnapshotRow
    head: SnapshotRow
    steps: dict[str, TreeStep]
    plans: tuple[AccountPlan, ...]


def the_snapshot(session: Session, name: str, pointer: str | None = None) -> SnapshotRow:
    """Return the snapshot that ``name`` means; refused (404) when there is none."""
    try:
        return snapshots.find(session, name)
    except SnapshotError as error:
        raise Refusal(Kind.NOT_FOUND, str(error), pointer) from error


def whole_snapshot(session: Session, name: str, pointer: str | None = None) -> SnapshotRow:
    """Return it, if one can go back to it; refused (409) when its tree was let go."""
    try:
        return snapshots.whole(the_snapshot(session, name, pointer))
    except ThinnedSnapshotError as error:
        raise Refusal(Kind.SNAPSHOT_THINNED, str(error), pointer) from error


def foresee(session: Session, name: str, accounts: Collection[str] | None, sites: Sequence[str]) -> Foreseen:
    """Return the plan of going back to the snapshot ``name`` for ``accounts`` (None: all)."""
    snapshot = whole_snapshot(session, name, "/snapshot")
    head = snapshots.find(session, "HEAD")
    _are_there(session, accounts)
    back = snapshots.differing(session, snapshot.seq, head.seq, accounts=accounts)
    steps = {s.account_id: TreeStep(s.account_id, s.to_hash, s.from_hash) for s in back}
    chunks = _chunks(session, steps.values())
    now = {a: s.from_hash for a, s in steps.items() if s.from_hash is not None}
    then = {a: s.to_hash for a, s in steps.items() if s.to_hash is not None}
    known = limits(
        session,
        snapshot.at,
        {a: None if s.from_hash is None else chunks[s.from_hash] for a, s in steps.items()},
        {a: None if s.to_hash is None else chunks[s.to_hash] for a, s in steps.items()},
    )
    return Foreseen(snapshot, head, steps, plan(now, then, chunks, sites, known))


def _chunks(session: Session, steps: Collection[TreeStep]) -> dict[ChunkHash, Chunk]:
    """Return the chunks; one that is damaged refuses all, since nobody can say what it would bring back."""
    found: dict[ChunkHash, Chunk] = {}
    for step in steps:
        for hash_ in (step.from_hash, step.to_hash):
            if hash_ is None or hash_ in found:
                continue
            try:
                found[hash_] = snapshots.chunk(session, hash_)
            except DamagedChunkError as error:
                raise Refusal(
                    Kind.CHUNK_DAMAGED,
                    f"account {step.account_id}: {error}; or name the other accounts to be rolled back",
                ) from error
    return found


def _are_there(session: Session, accounts: Collection[str] | None) -> None:
    """Refuse accounts that there are not: a misspelt one must not look like one without differences."""
    if accounts is None:
        return
    known = set(session.scalars(select(AccountRow.id).where(AccountRow.id.in_(sorted(accounts)))))
    missing = sorted(set(accounts) - known)
    if missing:
        raise Refusal(
            Kind.INVALID_ACCOUNT, f"there is no account {', '.join(missing[:MOST_NAMED])}", "/accounts"
        )
