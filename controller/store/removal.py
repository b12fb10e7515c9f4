"""Rows go with all that refer to them."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Table, delete, select
from sqlalchemy.orm import Session

from controller.store.base import Base


def table_of(row: type[Base]) -> Table:
    """Return the table of a mapped class."""
    table = row.__table__
    assert isinstance(table, Table)
    return table


def remove(session: Session, table: Table, where: ColumnElement[bool]) -> None:
    """Delete rows with all that refer to them, in whatever room: found by the foreign keys themselves."""
    for child in reversed(Base.metadata.sorted_tables):
        for key in child.foreign_keys:
            if key.column.table is table and child is not table:
                remove(session, child, key.parent.in_(select(key.column).where(where)))
    session.execute(delete(table).where(where))
