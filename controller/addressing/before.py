"""What the objects were that a write touches: noted when their rows are loaded, before it changes them."""

from __future__ import annotations

from sqlalchemy import event
from sqlalchemy.orm import QueryContext, Session

from controller.addressing import rows
from controller.addressing.tables import BgpPrefixRow, BindingRow, PrefixRow
from controller.snapshots.model import ChunkObject, ObjectKind

Key = tuple[ObjectKind, str]

NOTED = "herald.before"


def note_before(session: Session) -> None:
    """Begin to note the rows that ``session`` loads; call it before anything is read."""
    session.info[NOTED] = {}


def before(session: Session, account_id: str) -> dict[Key, ChunkObject]:
    """Return the account's objects that this write has loaded, as they were before it; no tombstones."""
    noted: dict[Key, tuple[str, ChunkObject | None]] = session.info.get(NOTED, {})
    return {key: found for key, (owner, found) in noted.items() if owner == account_id and found is not None}


@event.listens_for(PrefixRow, "load")
@event.listens_for(BgpPrefixRow, "load")
@event.listens_for(BindingRow, "load")
def _loaded(row: PrefixRow | BgpPrefixRow | BindingRow, context: QueryContext) -> None:
    noted: dict[Key, tuple[str, ChunkObject | None]] | None = context.session.info.get(NOTED)
    if noted is None:
        return
    key, found = _object(row)
    # The first time counts: a row that was changed, forgotten and loaded again is no longer as it was.
    noted.setdefault(key, (row.account_id, found if row.deleted_at is None else None))


def _object(row: PrefixRow | BgpPrefixRow | BindingRow) -> tuple[Key, ChunkObject]:
    if isinstance(row, PrefixRow):
        return ("prefix", row.id), rows.prefix_object(row)
    if isinstance(row, BgpPrefixRow):
        return ("bgp_prefix", row.id), rows.bgp_prefix_object(row)
    return ("binding", row.id), rows.binding_object(row)
