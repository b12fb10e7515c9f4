"""``/herald/v1/snapshots``: the operational state's history; and what of it may be let go.

Operators see all, customers what changed their own account.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from controller.addressing.auth import CallerDep
from controller.addressing.description import refuses
from controller.addressing.envelope import json_response
from controller.addressing.errors import Kind, Refusal
from controller.addressing.writes import Write, WriterDep
from controller.rollout import reports
from controller.rollout.collection import collect_history, referenced_by
from controller.rollout.driver import Driver
from controller.rollout.snapshot_bodies import (
    ChunkCheckBody,
    CollectionBody,
    CreateCollection,
    DiffBody,
    SnapshotBody,
    SnapshotLineBody,
)
from controller.safety.effects import effects
from controller.snapshots import store as snapshots
from controller.snapshots.collection import Keep
from controller.snapshots.diff import TreeStep, diff_chunks
from controller.snapshots.model import Chunk, ChunkHash, DamagedChunkError, SnapshotError
from controller.snapshots.store import ThinnedSnapshotError
from controller.snapshots.tables import ChunkRow, SnapshotRow

T = TypeVar("T")
Limit = Annotated[int, Query(ge=1, le=1000)]
Name = Annotated[
    str, Path(max_length=64, description="An id's beginning, HEAD, HEAD~N, @2026-02-20T17:56Z or @-15m.")
]
Account = Annotated[str | None, Query(max_length=32, min_length=1)]


def build_snapshot_router(driver: Driver) -> APIRouter:
    """Return the routes over ``driver``'s store and sites."""
    router = APIRouter(prefix="/herald/v1", tags=["snapshots"])

    async def read(what: Callable[[Session], T]) -> T:
        def in_thread() -> T:
            with driver.store.read() as session:
                return what(session)

        return await asyncio.to_thread(in_thread)

    @router.get("/snapshots", response_model=list[SnapshotLineBody])
    async def list_snapshots(caller: CallerDep, account_id: Account = None, limit: Limit = 100) -> Response:
        """The history, newest first; ``account_id``: what changed that account."""
        if account_id is not None:
            caller.require_account(account_id)
        account = account_id or caller.account_id
        return json_response(await read(lambda s: reports.snapshot_list(s, account, limit)))

    @router.get(
        "/snapshots/{snapshot_id}", response_model=SnapshotBody, responses=refuses(Kind.CHUNK_DAMAGED)
    )
    async def get_snapshot(snapshot_id: Name, caller: CallerDep) -> Response:
        """One snapshot: who, why, when, and what it changed."""

        def show(session: Session) -> dict[str, Any]:
            row = _the(session, snapshot_id)
            steps = [
                s
                for s in snapshots.steps_of(session, [row])[row.seq]
                if caller.account_id in (None, s.account_id)
            ]
            if not steps and caller.account_id is not None:
                raise Refusal(Kind.NOT_FOUND, f"no snapshot of your account has the id {snapshot_id!r}")
            line = msgspec.to_builtins(reports.snapshot_report(row, steps))
            head = snapshots.newest_seq(session) == row.seq
            return {**line, "head": head, "changes": _changes(session, steps, tuple(driver.sites))}

        return json_response(await read(show))

    @router.get(
        "/snapshots/{snapshot_id}/diff/{other_id}",
        response_model=DiffBody,
        responses=refuses(Kind.CHUNK_DAMAGED, Kind.SNAPSHOT_THINNED),
    )
    async def diff_snapshots(
        snapshot_id: Name, other_id: Name, caller: CallerDep, account_id: Account = None, limit: Limit = 1000
    ) -> Response:
        """What going from the first to the second changes: accounts, objects, effects at each site."""
        if account_id is not None:
            caller.require_account(account_id)
        account = account_id or caller.account_id

        def compare(session: Session) -> dict[str, Any]:
            a, b = (_whole(_the(session, name)) for name in (snapshot_id, other_id))
            older, newer = sorted((a.seq, b.seq))
            found = snapshots.differing(
                session, older, newer, accounts=None if account is None else [account]
            )
            steps = found if a.seq <= b.seq else tuple(_reversed(found))
            shown = _changes(session, steps[:limit], tuple(driver.sites))
            return {"from_id": a.id, "to_id": b.id, "total": len(steps), "accounts": shown}

        return json_response(await read(compare))

    @router.post("/snapshot_collections", response_model=CollectionBody)
    def create_collection(body: CreateCollection, caller: CallerDep, writer: WriterDep) -> Response:
        """Let history go that is old and that nothing stands on (operators)."""
        caller.require_operator()
        keep = Keep(body.keep_newest, timedelta(days=body.keep_days))

        def work(write: Write) -> dict[str, Any]:
            held = [dict(f.held) for f in driver.sites.values()]
            gone = collect_history(write.session, keep, write.now, held)
            found = {
                "snapshots": len(gone.snapshots),
                "thinned": len(gone.thinned),
                "rollouts": len(gone.rollouts),
                "chunks": len(gone.chunks),
                "chunks_left": write.session.scalar(select(func.count()).select_from(ChunkRow)) or 0,
            }
            write.record("collect", "snapshot", "history", None, **found)
            return found

        return writer.run(work)

    @router.get("/chunks", response_model=ChunkCheckBody)
    async def check_chunks(caller: CallerDep) -> Response:
        """Read and hash every chunk; names those that are damaged, and who stands on them (operators)."""
        caller.require_operator()
        return json_response(await read(_check))

    return router


def _the(session: Session, name: str) -> SnapshotRow:
    try:
        return snapshots.find(session, name)
    except SnapshotError as error:
        raise Refusal(Kind.NOT_FOUND, str(error)) from error


def _whole(row: SnapshotRow) -> SnapshotRow:
    try:
        return snapshots.whole(row)
    except ThinnedSnapshotError as error:
        raise Refusal(Kind.SNAPSHOT_THINNED, str(error)) from error


def _reversed(steps: Iterable[TreeStep]) -> Iterable[TreeStep]:
    return (TreeStep(s.account_id, s.to_hash, s.from_hash) for s in steps)


def _changes(session: Session, steps: Sequence[TreeStep], sites: Sequence[str]) -> list[dict[str, Any]]:
    found = []
    for step in steps:
        old, new = _chunk(session, step, step.from_hash), _chunk(session, step, step.to_hash)
        found.append(
            {
                "account_id": step.account_id,
                "from_hash": step.from_hash,
                "to_hash": step.to_hash,
                "objects": [msgspec.to_builtins(s) for s in diff_chunks(old, new)],
                "effects": [{**msgspec.to_builtins(e), "kind": e.kind} for e in effects(old, new, sites)],
            }
        )
    return found


def _chunk(session: Session, step: TreeStep, hash_: ChunkHash | None) -> Chunk | None:
    try:
        return None if hash_ is None else snapshots.chunk(session, hash_)
    except DamagedChunkError as error:
        raise Refusal(Kind.CHUNK_DAMAGED, f"account {step.account_id}: {error}") from error


def _check(session: Session) -> dict[str, Any]:
    damaged: dict[str, str] = {}
    count = 0
    for hash_ in session.scalars(select(ChunkRow.hash)).all():
        count += 1
        try:
            snapshots.chunk(session, ChunkHash(hash_))
        except DamagedChunkError as error:
            damaged[hash_] = str(error)
        session.expunge_all()
    standing = referenced_by(session, damaged)
    return {
        "chunks": count,
        "damaged": [{"hash": h, "why": why, **standing[h]} for h, why in sorted(damaged.items())],
    }
