"""Tells accounts what other networks' routers were seen to hold, when a reading shows a change."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.addressing.tables import BgpPrefixRow
from controller.bgp import Prefix
from controller.store import Store
from controller.timeline.log import note
from controller.timeline.show import Entry
from controller.timeline.sighting import Reading, evidence, moved
from controller.timeline.tables import SightingRow

AT_ONCE = 500


class Sightings:
    """Compares each reading with the one before, and the first with what was last told.

    Of routers that cannot be asked there is no reading: nobody is told that a route is gone then.
    """

    def __init__(self, store: Store, on_told: Callable[[], None]) -> None:
        self._store = store
        self._on_told = on_told
        self._before: Reading | None = None

    def take(self, reading: Reading) -> int:
        """Tell what has changed; return the number of entries. Called from one thread at a time."""
        if self._before is None:
            with self._store.read() as session:
                rows = _bgp_prefixes(session, None)
                known = {s.bgp_prefix_id: s.seen_by for s in session.scalars(select(SightingRow))}
            changed = {
                Prefix(b.cidr)
                for b in rows
                if known.get(b.id, 0) != len(reading.seen.get(Prefix(b.cidr), {}))
            }
        else:
            changed = moved(self._before.seen, reading.seen)
        told = self._tell(changed, reading) if changed else 0
        self._before = reading
        if told:
            self._on_told()
        return told

    def _tell(self, changed: Collection[Prefix], reading: Reading) -> int:
        with self._store.read() as session:
            if not _bgp_prefixes(session, changed):
                return 0
        with self._store.write() as session:
            return sum(self._tell_one(session, row, reading) for row in _bgp_prefixes(session, changed))

    def _tell_one(self, session: Session, row: BgpPrefixRow, reading: Reading) -> int:
        cidr = Prefix(row.cidr)
        holders = reading.seen.get(cidr, {})
        last = session.get(SightingRow, row.id)
        before = set() if self._before is None else set(self._before.seen.get(cidr, {}))
        if len(holders) == (0 if last is None else last.seen_by) and self._before is None:
            return 0
        at = datetime.fromisoformat(reading.at)
        session.merge(SightingRow(bgp_prefix_id=row.id, seen_by=len(holders), of=reading.routers, at=at))
        seen = f"{len(holders)} of {reading.routers} routers hold it"
        note(
            session,
            Entry(
                account_id=row.account_id,
                at=at,
                kind="observed",
                type="bgp_prefix.visible" if holders else "bgp_prefix.absent",
                object_kind="bgp_prefix",
                object_id=row.id,
                prefix_id=row.prefix_id,
                reason=seen if holders else f"none of {reading.routers} routers holds it",
                detail=evidence(cidr, reading, before - set(holders)),
            ),
        )
        return 1


def _bgp_prefixes(session: Session, cidrs: Collection[Prefix] | None) -> list[BgpPrefixRow]:
    """Return the live BGP prefixes, or those of them with one of these CIDRs."""
    live = select(BgpPrefixRow).where(BgpPrefixRow.deleted_at.is_(None)).order_by(BgpPrefixRow.id)
    if cidrs is None:
        return list(session.scalars(live))
    found: list[BgpPrefixRow] = []
    for part in _parts(sorted(cidrs)):
        found += session.scalars(live.where(BgpPrefixRow.cidr.in_(part)))
    return found


def _parts(values: list[Prefix]) -> Iterable[list[Prefix]]:
    return (values[start : start + AT_ONCE] for start in range(0, len(values), AT_ONCE))
