"""The sites of one controller: what each is to have of each account, and what it has from somebody else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy.orm import Session

from controller.rollout import records
from controller.rollout.conflicts import Conflicts
from controller.rollout.course import Rollout
from controller.rollout.site import SiteFollower
from controller.rollout.site_journals import SiteJournals
from controller.rollout.tracked import Target
from controller.rollout.unwritten import Unwritten
from controller.snapshots.model import ChunkHash
from controller.store import Store


class Fleet:
    """``sites``: their followers, by name. Targets are a copy of what is on disk. On the driver's loop."""

    def __init__(self, store: Store, unwritten: Unwritten) -> None:
        self.sites: dict[str, SiteFollower] = {}
        self.conflicts = Conflicts(store)
        self.journals = SiteJournals(unwritten.waits.set)
        self.known: set[str] = set()
        """Names of all chunks that this controller ever made."""
        self._targets: dict[str, dict[str, Target]] = {}

    def load(self, session: Session) -> None:
        """Read back what is on disk; sites that are new get what the others have."""
        records.join_sites(session, self.sites)
        self.known.update(records.known_chunks(session))
        for site in self.sites:
            self._targets[site] = records.targets(session, site)
        self.conflicts.load(session, self._targets)
        self.journals.load(session)

    def targets(self, site: str) -> Mapping[str, Target]:
        """What the site is to have, by account."""
        return self._targets[site]

    def aim(self, rollout: Rollout, sites: Iterable[str], hash_: ChunkHash | None) -> None:
        """Let sites have a chunk by this roll-out from now on, or nothing of its account; they are woken."""
        for site in sites:
            if site not in self.sites:
                continue
            if hash_ is None:
                self._targets[site].pop(rollout.account_id, None)
            else:
                self._targets[site][rollout.account_id] = Target(hash_, rollout.id)
            self.sites[site].look_at(rollout.account_id)

    def look_at(self, account_id: str, sites: Iterable[str]) -> None:
        """Have those of the sites that are this controller's compare an account again."""
        for site in sites:
            if site in self.sites:
                self.sites[site].look_at(account_id)
