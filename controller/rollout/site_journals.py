"""The controller's memory of sites' journals: kept in the store, written with what else there is to write.

Lives on the driver's event loop; the database is used from worker threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlalchemy.orm import Session

from controller.rollout import records
from controller.rollout.remembered import Remembered, behind
from controller.transport.messages import SiteStatus


class SiteJournals:
    """``moved()`` is called when there is something to be written down."""

    def __init__(self, moved: Callable[[], None]) -> None:
        self._moved = moved
        self._known: dict[str, Remembered] = {}
        self._unwritten: set[str] = set()
        self._faults: dict[str, str] = {}

    def load(self, session: Session) -> None:
        """Read back what is kept."""
        self._known = records.remembered_journals(session)

    def at(self, site: str) -> Remembered | None:
        """Return what is remembered of the site; None: it was never heard of."""
        return self._known.get(site)

    def fault(self, site: str) -> str:
        """Return what was wrong with the site's journal when it was last heard of; empty: nothing."""
        return self._faults.get(site, "")

    def judge(self, status: SiteStatus, before: Remembered | None, given: int) -> str:
        """Return why the site's journal is behind ``before``, which was known when it was asked."""
        why = self._faults[status.site] = behind(before, status, given)
        return why

    def saw(self, status: SiteStatus, *, adopt: bool = False) -> None:
        """Remember what a site that is not behind tells; one that was written before a receipt says nothing.

        ``adopt``: whatever was remembered, the store is the older.
        """
        known = self._known.get(status.site)
        if known is None or adopt or known.holds(status):
            self._remember(status.site, Remembered(status.epoch, status.generation))

    def acknowledged(self, site: str, generation: int) -> None:
        """Remember that the site has journalled a command of this generation."""
        known = self._known.get(site)
        if known is not None and generation > known.generation:
            self._remember(site, Remembered(known.epoch, generation))

    def _remember(self, site: str, journal: Remembered) -> None:
        if journal != self._known.get(site):
            self._known[site] = journal
            self._unwritten.add(site)
            self._moved()

    def take(self) -> Mapping[str, Remembered]:
        """Return what is to be written down; give it to :meth:`put_back` when that fails."""
        taken, self._unwritten = self._unwritten, set()
        return {site: self._known[site] for site in taken}

    def put_back(self, taken: Mapping[str, Remembered]) -> None:
        """Let it be written down later, as it is by then."""
        self._unwritten.update(taken)
