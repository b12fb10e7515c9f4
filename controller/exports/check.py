"""Goes through a whole store and says what in it is not as it was written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

import controller.exports.choice  # noqa: F401 (the metadata has every table then)
from controller.addressing.audit_chain import verify
from controller.addressing.audit_log import chain_of
from controller.snapshots.model import ChunkHash, decode_chunk, hash_chunk
from controller.snapshots.tables import ChunkRow, HeadRow
from controller.store import Base, Store

AT_ONCE = 200
MOST = 100
"""Problems that are told; one is reason enough to act."""


@dataclass(frozen=True, slots=True)
class Checked:
    """``rows`` of each table; ``problems`` empty: the store is whole."""

    rows: dict[str, int]
    problems: tuple[str, ...]


def check_store(store: Store) -> Checked:
    """Look at references, chunks and the chain of events; nothing is changed."""
    with store.read() as session:
        rows = {
            t.name: session.scalar(select(func.count()).select_from(t)) or 0
            for t in Base.metadata.sorted_tables
        }
        problems: list[str] = []
        for found in (_pages, _references, _chunks, _heads, _events):
            for problem in found(session):
                problems.append(problem)
                if len(problems) == MOST:
                    return Checked(rows, (*problems, "there are more"))
    return Checked(rows, tuple(problems))


def _pages(session: Session) -> Iterator[str]:
    """The file itself; a PostgreSQL server looks after its own."""
    if session.get_bind().dialect.name == "sqlite":
        for (said,) in session.execute(text("PRAGMA integrity_check(20)")):
            if said != "ok":
                yield f"the file is damaged: {said}"


def _references(session: Session) -> Iterator[str]:
    """Rows that refer to what is not there, counted by key; the same question to either kind of store."""
    for table in Base.metadata.sorted_tables:
        for key in table.foreign_keys:
            column, there = key.parent, key.column.table.alias()
            dangling = (
                select(func.count())
                .select_from(table)
                .where(column.is_not(None), ~select(there).where(there.c[key.column.name] == column).exists())
            )
            count = session.scalar(dangling)
            if count:
                yield f"{count} rows of {table.name} have a {column.name} that is gone"


def _chunks(session: Session) -> Iterator[str]:
    query = select(ChunkRow.hash, ChunkRow.body)
    for hash_, body in session.execute(query, execution_options={"yield_per": AT_ONCE}):
        if hash_chunk(body) != hash_:
            yield f"chunk {hash_[:12]} is damaged"


def _heads(session: Session) -> Iterator[str]:
    query = select(HeadRow.account_id, ChunkRow.hash, ChunkRow.body).join(
        ChunkRow, ChunkRow.hash == HeadRow.hash
    )
    for account_id, hash_, body in session.execute(query, execution_options={"yield_per": AT_ONCE}):
        if hash_chunk(body) == hash_ and decode_chunk(body, ChunkHash(hash_)).account_id != account_id:
            yield f"the operational chunk of account {account_id} is another account's"


def _events(session: Session) -> Iterator[str]:
    verdict = verify(chain_of(session))
    if not verdict.intact:
        yield f"the chain of events breaks at event {verdict.broken_at}: {verdict.reason}"
