"""Drains in the store: which sites are to be out of use. In the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.bgp import Prefix
from controller.guard.tables import DrainRow
from controller.safety.drain import Standing
from controller.store.once import once


def standing(session: Session) -> list[DrainRow]:
    """Return the confirmed drains that nobody has lifted, oldest first."""
    rows = select(DrainRow).where(DrainRow.lifted_at.is_(None), DrainRow.text.is_not(None))
    return list(session.scalars(rows.order_by(DrainRow.seq)))


def values(rows: Iterable[DrainRow]) -> dict[str, Standing]:
    """Return standing drains by site."""
    return {
        row.site: Standing(row.id, row.site, row.text or "", frozenset(stay["cidr"] for stay in row.stays))
        for row in rows
    }


def lifted(session: Session, ids: Collection[str]) -> set[str]:
    """Return which of these drains are over, as far as this store knows of them."""
    over = select(DrainRow.id).where(DrainRow.id.in_(ids), DrainRow.lifted_at.is_not(None))
    return set(session.scalars(over)) if ids else set()


def without_drained(
    session: Session, announced: Mapping[Prefix, Collection[str]]
) -> dict[Prefix, frozenset[str]]:
    """Return where prefixes are announced, less the sites at which a drain has taken them off.

    A site that is drained by prepending counts as one that is drained: it is there to be used last.
    """
    gone: dict[Prefix, set[str]] = {}
    for row in once(session, DrainRow, "standing", lambda: standing(session)):
        for cidr in row.goes:
            gone.setdefault(Prefix(cidr), set()).add(row.site)
    return {cidr: frozenset(sites) - gone.get(cidr, set()) for cidr, sites in announced.items()}
