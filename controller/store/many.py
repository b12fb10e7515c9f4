"""Asks for many rows by their names at once: thousands of questions one by one take seconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute, Session

AT_ONCE = 500
"""Names in one question: SQLite takes some tens of thousands of parameters, others fewer."""


def those(
    session: Session, rows: Select[Any], column: InstrumentedAttribute[Any], names: Iterable[object]
) -> list[Any]:
    """Return the rows (entities, or values of one column) whose ``column`` is one of ``names``.

    The session finds entities again without asking for as long as somebody keeps what is returned.
    """
    found: list[Any] = []
    for some in in_parts(names):
        found += session.scalars(rows.where(column.in_(some)))
    return found


def in_parts(names: Iterable[object]) -> Iterator[list[object]]:
    """Give all names, each once, so many at a time as one question takes."""
    each = list(dict.fromkeys(names))
    for start in range(0, len(each), AT_ONCE):
        yield each[start : start + AT_ONCE]
