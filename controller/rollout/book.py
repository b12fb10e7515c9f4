"""What the sites' followers ask: what their sites are to have, how it is handed over, and with what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Container, Mapping
from datetime import UTC, datetime

from controller.addressing.registry import RegistryIssuer
from controller.rollout.carried import intents_between
from controller.rollout.course import Rollout
from controller.rollout.fleet import Fleet
from controller.rollout.followed import Followed
from controller.rollout.remembered import Remembered
from controller.rollout.states import RolloutState
from controller.rollout.tracked import Handing, Target
from controller.snapshots import store as snapshots
from controller.snapshots.model import ChunkHash, DamagedChunkError
from controller.store import Store
from controller.transport.messages import RegistryNews, SiteStatus


class SiteBook:
    """The followers' :class:`controller.rollout.site.Book`; changes nothing of a roll-out.

    ``tell(change_set, account)``: something of it was written down. ``registry`` issues the entries that go
    with commands; None: nothing does.
    """

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        followed: Followed,
        *,
        tell: Callable[[str, str], None],
        registry: RegistryIssuer | None = None,
    ) -> None:
        self.fence = 0
        """The token by which this controller leads (``rollout.lease``); 0 when nobody asked for a lease."""
        self._store = store
        self._fleet = fleet
        self._followed = followed
        self._tell = tell
        self._registry = registry

    @property
    def known(self) -> Container[str]:
        """Names of all chunks that this controller ever made."""
        return self._fleet.known

    def targets(self, site: str) -> Mapping[str, Target]:
        """What the site is to have, by account."""
        return self._fleet.targets(site)

    def given(self, site: str) -> int:
        """The highest generation that this store has given the site."""
        return self._fleet.conflicts.given(site)

    def is_foreign(self, site: str, account_id: str) -> bool:
        """Whether the site holds the account's chunk by a command that this store never gave."""
        return self._fleet.conflicts.is_foreign(site, account_id)

    def handing(self, site: str, account_id: str) -> Handing:
        """How the account's target is handed to the site now."""
        target = self._fleet.targets(site).get(account_id)
        if target is None:
            return Handing(withheld=True, final=False)
        held = self._fleet.sites[site].held.get(account_id)
        by = self._followed.get(target.rollout_id)
        for other in self._followed.of(account_id):
            if other is not by and _is_open_at(other.rollout, site, held):
                # Its gate is being asked just now: a change on top of it waits for the answer, no longer.
                return Handing(withheld=True, final=False)
        if by is None:
            return Handing()
        rollout, final = by.rollout, by.rollout.is_final(site)
        way_back = rollout.course.gated and target.hash == rollout.from_hash
        return Handing(
            lane=rollout.course.lane,
            confirm_within_s=None if final or way_back else rollout.course.confirm_within_s,
            withheld=not way_back and not rollout.may_hand(site),
            final=final and rollout.state is not RolloutState.REVERTING,
        )

    def remembered(self, site: str) -> Remembered | None:
        """What is remembered of the site's journal."""
        return self._fleet.journals.at(site)

    def behind(self, status: SiteStatus, before: Remembered | None, given: int) -> str:
        """Why the site's journal is behind what was remembered and given when it was asked."""
        return self._fleet.journals.judge(status, before, given)

    def saw(self, status: SiteStatus) -> None:
        """The site, which is not behind, tells this of its journal."""
        self._fleet.journals.saw(status)

    def acknowledged(self, site: str, generation: int) -> None:
        """The site has journalled a command of this generation."""
        self._fleet.journals.acknowledged(site, generation)

    async def recognise(self, status: SiteStatus) -> None:
        """Keep that a site was given commands that this store does not know; none of it is ever undone."""
        stale = await self._fleet.conflicts.recognise(status, self._fleet.targets(status.site))
        self._fleet.journals.saw(status, adopt=True)
        for change_set_id, account_id in stale.items():
            self._tell(change_set_id, account_id)

    async def bodies(self, hashes: Collection[ChunkHash]) -> Mapping[ChunkHash, bytes | DamagedChunkError]:
        """The chunks' bytes, or what is wrong with them."""

        def read() -> Mapping[ChunkHash, bytes | DamagedChunkError]:
            with self._store.read() as session:
                return snapshots.chunk_bodies(session, hashes)

        return await asyncio.to_thread(read)

    async def intents(
        self, moves: Mapping[str, tuple[ChunkHash | None, ChunkHash]]
    ) -> Mapping[str, tuple[str, ...]]:
        """What was asked for by the change-sets that lie between what a site holds and what it is to have."""

        def read() -> Mapping[str, tuple[str, ...]]:
            with self._store.read() as session:
                return intents_between(session, moves, datetime.now(UTC))

        return await asyncio.to_thread(read) if moves else {}

    async def registry(self, accounts: Collection[str]) -> Mapping[str, str]:
        """The accounts' entries as ownership is now: an agent judges by them what it is to announce anew."""
        if self._registry is None:
            return {}
        return await asyncio.to_thread(self._registry.issue, list(accounts), datetime.now(UTC))

    async def revoked(self, site: str, after: int) -> RegistryNews | None:
        """What the ledger of revocations got after that number, a part at a time; None: nothing."""
        if self._registry is None:
            return None
        news = await asyncio.to_thread(self._registry.revoked, after, datetime.now(UTC))
        return None if news is None else RegistryNews(site, *news, self.fence)

    async def reserve(self, site: str, floor: int, count: int) -> range:
        """Generations that were never given, all above ``floor``, kept on disk."""
        return await self._fleet.conflicts.reserve(site, floor, count)


def _is_open_at(rollout: Rollout, site: str, held: ChunkHash | None) -> bool:
    """Tell whether a site holds what a roll-out brought, and is not to keep it yet."""
    progress = rollout.sites.get(site)
    if progress is None or rollout.is_final(site) or not rollout.under_way:
        return False
    return rollout.state is not RolloutState.REVERTING and site in rollout.reached and held in rollout.own
