"""From a store to lines: one consistent state, a row at a time, so that memory stays flat."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec
from sqlalchemy import Table, collate, select
from sqlalchemy.orm import Session
from sqlalchemy.types import String

from controller.exports.choice import exported_tables
from controller.exports.lines import FORMAT, encode, row_line
from controller.snapshots import outbox
from controller.snapshots import store as snapshots
from controller.snapshots.tables import ChangeSetRow, HeadRow
from controller.store import Store
from controller.store.migrate import revisions

AT_ONCE = 500
"""Rows that are fetched together."""


def export_lines(store: Store, *, secrets: bool = False) -> Iterator[bytes]:
    """Give the lines of an export; with ``secrets`` also what lets somebody use the API (hashes of tokens).

    Raises :class:`~controller.snapshots.model.DamagedChunkError` when an account's chunk is damaged,
    :class:`~controller.store.StoreUnavailableError`.
    """
    digest, count = hashlib.sha256(), 0
    with store.read() as session:
        for line in _lines(session, secrets):
            data = encode(line)
            digest.update(data)
            count += 1
            yield data
    yield encode({"end": {"lines": count, "sha256": digest.hexdigest()}})


def _lines(session: Session, secrets: bool) -> Iterator[dict[str, Any]]:
    yield {"herald": "export", "format": FORMAT, "schema": revisions()[-1]}
    for table in exported_tables(secrets=secrets):
        for row in _rows(session, table):
            yield row_line(table, row)
    for (account_id,) in session.execute(
        select(HeadRow.account_id).order_by(*_order(session, HeadRow.__table__)),  # type: ignore[arg-type]
        execution_options={"yield_per": AT_ONCE},
    ):
        hash_ = snapshots.head_of(session, account_id)
        assert hash_ is not None
        chunk = msgspec.to_builtins(snapshots.chunk(session, hash_))
        session.expunge_all()
        yield {"operational": {"account_id": account_id, "hash": hash_, "chunk": chunk}}
    for id_ in outbox.all_queued(session):
        row = session.scalar(select(ChangeSetRow).where(ChangeSetRow.id == id_))
        assert row is not None
        yield {"waiting": msgspec.to_builtins(outbox.decode(row))}


def _rows(session: Session, table: Table) -> Iterator[Any]:
    query = select(table).order_by(*_order(session, table))
    for row in session.execute(query, execution_options={"yield_per": AT_ONCE}):
        yield row._mapping


def _order(session: Session, table: Table) -> list[Any]:
    """Order by the primary key, text by its bytes on either kind of store."""
    by_bytes = session.get_bind().dialect.name == "postgresql"
    return [
        collate(c, "C") if by_bytes and isinstance(c.type, String) else c for c in table.primary_key.columns
    ]
