"""What sites hold by commands that this store never gave: kept, so that nothing ever undoes it unasked.

A store that was restored from an older copy, or that is another one, is a shrinkage (SAFETY.md, 12). It shows
by the sites' generations: a store keeps each generation before it is sent, and with it the target that it
is for. So a site with a higher generation than the store knows of was commanded by somebody who knows more.
Lives on the driver's event loop; the database is used from worker threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import structlog
from sqlalchemy.orm import Session

from controller.rollout import records
from controller.rollout.delivery import foreign_chunks
from controller.rollout.tracked import Target
from controller.snapshots import outbox
from controller.snapshots.model import ChunkHash
from controller.store import Store
from controller.transport.messages import SiteStatus

log = structlog.get_logger()

STALE = (
    "conflict: this store is an older copy, and this change-set was waiting in it: it may have been done and "
    "overtaken since, so it is not done again; look at what is there, and ask anew"
)

Settled = tuple[str, str, int]
"""A site, an account, and the site's generation when their conflict had ended."""


class Conflicts:
    """Which accounts' chunks at which sites came from elsewhere, and what generations this store gave."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._found: dict[str, Mapping[str, ChunkHash]] = {}  # the targets at the start
        self._given: dict[str, int] = {}
        self._foreign: dict[str, dict[str, ChunkHash]] = {}
        self._settled: set[Settled] = set()
        self._waited: tuple[str, ...] = ()  # change-sets that were queued at the start

    def load(self, session: Session, targets: Mapping[str, Mapping[str, Target]]) -> None:
        """Read back what is kept; ``targets`` by site."""
        self._given = records.given_generations(session)
        waiting = outbox.all_queued(session)
        self._waited = tuple(waiting)
        for site, wanted in targets.items():
            # What waits may be older than what the site holds, and is no reason to move it.
            self._found[site] = {a: target.hash for a, target in wanted.items() if a not in waiting.values()}
            self._foreign[site] = {}
        for row in records.conflicts(session):
            self._foreign.setdefault(row.site, {})[row.account_id] = ChunkHash(row.hash)

    def given(self, site: str) -> int:
        """The highest generation that this store has given the site."""
        return self._given.get(site, 0)

    def at(self, site: str) -> Mapping[str, ChunkHash]:
        """The chunks, by account, that the site holds by commands that this store never gave."""
        return self._foreign.get(site, {})

    def is_foreign(self, site: str, account_id: str) -> bool:
        """Whether the site holds the account's chunk by a command that this store never gave."""
        return account_id in self.at(site)

    async def recognise(self, status: SiteStatus, targets: Mapping[str, Target]) -> dict[str, str]:
        """Keep that the site was given commands that this store does not know, and what they left there.

        Change-sets that waited in the store when it was opened are as old as the store, and end as failed;
        their accounts are returned by their ids.
        """
        site, given = status.site, self.given(status.site)
        foreign = foreign_chunks(
            status.accounts, status.generation, given, _hashes(targets), self._found[site]
        )

        def record() -> dict[str, str]:
            with self._store.write() as session:
                records.record_foreign(session, site, status.generation, foreign, datetime.now(UTC))
                waiting = outbox.all_queued(session)
                stale = {id_: waiting[id_] for id_ in self._waited if id_ in waiting}
                for id_ in stale:
                    outbox.move(session, id_, "failed", STALE)
            return stale

        stale = await asyncio.to_thread(record)
        self._foreign[site] |= foreign
        self._given[site] = max(self.given(site), status.generation)
        log.warning("the store is older than the site, or another one: it leaves alone what it does not know",
                    site=site, given=given, generation=status.generation, conflicts=len(foreign),
                    accounts=sorted(foreign)[:20], failed=sorted(stale)[:20],
                    remedy="herald store status")  # fmt: skip
        return stale

    async def reserve(self, site: str, floor: int, count: int) -> range:
        """Generations that were never given, all above ``floor``, kept on disk."""

        def reserve() -> range:
            with self._store.write() as session:
                return records.reserve_generations(session, site, floor, count, given=self.given(site))

        reserved = await asyncio.to_thread(reserve)
        self._given[site] = reserved.stop - 1
        return reserved

    def settle(self, site: str, held: Mapping[str, ChunkHash], targets: Mapping[str, Target]) -> bool:
        """End the conflicts at a site that holds nothing of an account any more, or what it is to hold.

        Tells whether there is something to be written down.
        """
        for account_id in list(self.at(site)):
            now, target = held.get(account_id), targets.get(account_id)
            if now is None or (target is not None and target.hash == now):
                del self._foreign[site][account_id]
                self._settled.add((site, account_id, self.given(site)))
        return bool(self._settled)

    def take_settled(self) -> set[Settled]:
        """Return what is to be written down; give it to :meth:`put_back` when that fails."""
        taken, self._settled = self._settled, set()
        return taken

    def put_back(self, settled: Iterable[Settled]) -> None:
        """Let it be written down later."""
        self._settled.update(settled)


def _hashes(targets: Mapping[str, Target]) -> dict[str, ChunkHash]:
    return {account_id: target.hash for account_id, target in targets.items()}
