"""What a write changes of rows, noted as it is flushed: before and after of each field, for the history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import event, inspect
from sqlalchemy.orm import Session

from controller.addressing.tables import EventRow, PrefixRow
from controller.addressing.times import rfc3339
from controller.store import Base

TOUCHED = "herald.touched"
"""In a session's ``info``: object id → :class:`Touched`."""

UNTOLD = frozenset({"modified_at"})
"""Fields that say nothing which the event does not."""


@dataclass(slots=True)
class Touched:
    """One object: the prefix that it stands in, and its changed fields with what they were and are."""

    prefix_id: str | None
    fields: dict[str, tuple[Any, Any]] = field(default_factory=dict)


def touched(session: Session) -> Mapping[str, Touched]:
    """Flush, and return what the session has touched so far."""
    session.flush()
    found: dict[str, Touched] = session.info.get(TOUCHED, {})
    return found


def changes_of(found: Mapping[str, Touched], object_id: str) -> dict[str, dict[str, Any]]:
    """Return the changed fields of an object as ``{"before", "after"}`` in plain JSON types."""
    if object_id not in found:
        return {}
    return {
        name: {"before": before, "after": after}
        for name, (before, after) in found[object_id].fields.items()
        if before != after
    }


@event.listens_for(Session, "before_flush")
def _note(session: Session, _context: object, _instances: object) -> None:
    noted: dict[str, Touched] = session.info.setdefault(TOUCHED, {})
    for row in (*session.new, *session.dirty, *session.deleted):
        object_id = getattr(row, "id", None)
        if not isinstance(object_id, str) or isinstance(row, EventRow):
            continue
        one = noted.setdefault(object_id, Touched(_prefix_of(row)))
        if row in session.dirty:
            for name, before, after in _changed(row):
                one.fields[name] = (one.fields[name][0] if name in one.fields else before, after)


def _prefix_of(row: Base) -> str | None:
    found = row.id if isinstance(row, PrefixRow) else getattr(row, "prefix_id", None)
    return found if isinstance(found, str) else None


def _changed(row: Base) -> list[tuple[str, Any, Any]]:
    state = inspect(row)
    found: list[tuple[str, Any, Any]] = []
    for column in state.mapper.column_attrs:
        if column.key in UNTOLD or column.columns[0].info.get("secret"):
            continue
        history = state.attrs[column.key].history
        if not history.has_changes():
            continue
        before = history.deleted[0] if history.deleted else None
        after = history.added[0] if history.added else None
        if not isinstance(before, bytes) and not isinstance(after, bytes):
            found.append((column.key, _plain(before), _plain(after)))
    return found


def _plain(value: Any) -> Any:
    return rfc3339(value) if isinstance(value, datetime) else value
