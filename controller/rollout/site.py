"""Follows one site: long-polls its status, and delivers what it lacks, one command after the other.

Level-triggered: what is sent comes from comparing what the site is to have with what it says it has, so
that a lost answer, a restart on either side or a site that was away for a week all end the same way.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import NoReturn, Protocol

import structlog

from controller.addressing.times import rfc3339
from controller.rollout.backoff import delay_s
from controller.rollout.delivery import Move, Unknown, next_move
from controller.rollout.errors import WrongSiteError
from controller.rollout.machine import SiteEvent
from controller.rollout.records import Target
from controller.snapshots.model import ChunkHash, DamagedChunkError
from controller.store import StoreUnavailableError
from controller.transport.errors import TransportError
from controller.transport.messages import Command, Receipt, SiteStatus
from controller.transport.protocol import SiteLink

POLL_S = 10.0
"""Seconds that a long poll of a status lasts."""

GENERATIONS_AT_ONCE = 16
"""Generations are reserved on disk for the commands that are to be sent next: one write for many.

Each is for one target, which is on disk already: so a copy of the store that knows of the generation knows
of the target, too, and a site with a higher one than the store knows of shows that the store is older.
"""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SiteView:
    """What is known of a site; ``reachable`` None: it has not been tried yet.

    ``heard_at``: when it last answered, RFC 3339 UTC; None when it has not since this process began.
    """

    site: str
    reachable: bool | None = None
    reason: str = "not heard of yet"
    status: SiteStatus | None = None
    heard_at: str | None = None


class Book(Protocol):
    """What a follower asks of, and tells, its driver."""

    @property
    def known(self) -> Container[str]:
        """Names of all chunks that this controller ever made."""
        ...

    def targets(self, site: str) -> Mapping[str, Target]:
        """What the site is to have, by account."""
        ...

    def given(self, site: str) -> int:
        """The highest generation that this store has given the site."""
        ...

    def is_foreign(self, site: str, account_id: str) -> bool:
        """Whether the site holds the account's chunk by a command that this store never gave."""
        ...

    async def recognise(self, status: SiteStatus) -> None:
        """Keep that the site was given commands that this store does not know."""
        ...

    def heard(self, site: str) -> None:
        """The site's view or what it holds has changed."""
        ...

    def unreached(self, site: str, reason: str) -> None:
        """Nobody answers at the site."""
        ...

    def told(self, site: str, account_id: str, event: SiteEvent, reason: str) -> None:
        """The site's answer to (or the reason against) delivering an account's target."""
        ...

    async def body(self, hash_: ChunkHash) -> bytes:
        """A chunk's bytes; raises :class:`DamagedChunkError`."""
        ...

    async def reserve(self, site: str, floor: int, count: int) -> range:
        """Generations that were never given, all above ``floor``, kept on disk."""
        ...


class SiteFollower:
    """One site's two loops; ``view`` and ``held`` are what it has learnt so far."""

    def __init__(self, site: str, link: SiteLink, book: Book) -> None:
        self.site = site
        self.link = link
        self.view = SiteView(site)
        self.held: dict[str, ChunkHash] = {}
        self.in_flight: str | None = None
        self.tried = asyncio.Event()
        """Set once the site has answered, or has not, for the first time."""
        self._book = book
        self._dirty: dict[str, None] = {}  # accounts to look at, in order
        self._wake = asyncio.Event()
        self._generations: dict[str, tuple[ChunkHash, int]] = {}  # by account, each for one target
        self._given = 0  # the newest generation that was journalled
        self._receipts = 0
        self._refused: dict[str, ChunkHash] = {}

    def look_at(self, account_id: str) -> None:
        """Compare this account again: its target has changed."""
        self._refused.pop(account_id, None)
        self._mark(account_id)

    def _mark(self, account_id: str) -> None:
        self._dirty[account_id] = None
        self._wake.set()

    async def follow(self) -> NoReturn:
        """Long-poll the status for ever; back off while nobody answers."""
        failures, version = 0, 0
        while True:
            receipts = self._receipts
            try:
                status = await self._status(version, POLL_S if version else 0.0)
            except (TransportError, WrongSiteError, StoreUnavailableError) as error:
                failures, version = failures + 1, 0
                self._lost(_why(error))
                await asyncio.sleep(delay_s(failures, random.random()))
                continue
            failures = 0
            if receipts != self._receipts and status.generation < self._given:
                continue  # it was written before a receipt that is here already: ask again
            version = status.version
            self._heard(status)

    async def _status(self, after: int = 0, wait: float = 0.0) -> SiteStatus:
        """Return the site's status; nothing of it is believed before what it shows of others is kept.

        Raises :class:`TransportError`, :class:`WrongSiteError`, :class:`StoreUnavailableError`.
        """
        status = await self.link.status(after=after, wait=wait)
        self._same_site(status.site)
        while not status.fault and status.generation > self._book.given(self.site):
            await self._book.recognise(status)
            status = await self.link.status()  # it may have changed meanwhile
            self._same_site(status.site)
        return status

    def _heard(self, status: SiteStatus) -> None:
        if status.fault:  # what it says it holds is not what it has: it is given nothing
            self._lost(f"the agent is quarantined: {status.fault}", status)
            return
        if not self.view.reachable:
            log.info("site answers", site=self.site, generation=status.generation, epoch=status.epoch)
            self._refused.clear()
        self.view = SiteView(self.site, True, "", status, rfc3339(datetime.now(UTC)))
        self.held = dict(status.accounts)
        self.tried.set()
        self._book.heard(self.site)
        for account_id, target in self._book.targets(self.site).items():
            if self.held.get(account_id) != target.hash:
                self._mark(account_id)

    def _lost(self, reason: str, status: SiteStatus | None = None) -> None:
        if self.view.reachable is not False or self.view.reason != reason:
            log.warning("site takes no commands", site=self.site, reason=reason)
        self.view = SiteView(self.site, False, reason, status or self.view.status, self.view.heard_at)
        self.tried.set()
        self._book.unreached(self.site, reason)

    async def deliver(self) -> NoReturn:
        """Deliver for ever what the site lacks; stand still while it cannot be reached."""
        failures = 0
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._dirty and (self.view.reachable or failures):
                if not self.view.reachable and not await self._ask():
                    failures += 1
                    await asyncio.sleep(delay_s(failures, random.random()))
                    continue
                account_id = next(iter(self._dirty))
                del self._dirty[account_id]
                if await self._deliver_one(account_id):
                    failures = 0
                    continue
                failures += 1
                await asyncio.sleep(delay_s(failures, random.random()))

    async def _ask(self) -> bool:
        """Ask for the status at once, after a delivery that failed while a long poll may still hang."""
        try:
            status = await self._status()
        except (TransportError, WrongSiteError, StoreUnavailableError) as error:
            self._lost(_why(error))
            return False
        self._heard(status)
        return self.view.reachable is True

    async def _deliver_one(self, account_id: str) -> bool:
        """Bring one account one step on; False: it did not work, and will be tried again."""
        target = self._book.targets(self.site).get(account_id)
        wanted = None if target is None else target.hash
        if wanted is not None and self._refused.get(account_id) == wanted:
            return True
        foreign = self._book.is_foreign(self.site, account_id)
        move = next_move(wanted, self.held.get(account_id), self._book.known, foreign=foreign)
        if isinstance(move, Unknown):
            self._book.told(self.site, account_id, SiteEvent.CONFLICTED, move.reason)
            return True
        if move is None or target is None:
            return True
        self.in_flight = account_id
        try:
            receipt = await self.link.deliver(await self._command(account_id, move, target.rollout_id))
            self._same_site(receipt.site)
        except DamagedChunkError as error:
            self._refuse(account_id, move, str(error))
            return True
        except (TransportError, WrongSiteError, StoreUnavailableError) as error:
            self._mark(account_id)
            self._lost(_why(error))
            return False
        finally:
            self.in_flight = None
        return await self._receive(account_id, move, receipt)

    async def _command(self, account_id: str, move: Move, rollout_id: str) -> Command:
        return Command(
            site=self.site,
            generation=await self._generation(account_id, move.to_hash),
            rollout_id=rollout_id,
            account_id=account_id,
            from_hash=move.from_hash,
            to_hash=move.to_hash,
            chunk=await self._book.body(move.to_hash),
        )

    async def _generation(self, account_id: str, to_hash: ChunkHash) -> int:
        """Return a generation above all that the agent has, reserved for this very target."""
        status = self.view.status
        floor = max(self._given, 0 if status is None else status.generation)
        target, generation = self._generations.pop(account_id, (None, 0))
        if target == to_hash and generation > floor:
            return generation
        targets = self._book.targets(self.site)
        next_ones = [a for a in islice(self._dirty, GENERATIONS_AT_ONCE - 1) if a in targets]
        wanted = {account_id: to_hash} | {a: targets[a].hash for a in next_ones if a != account_id}
        reserved = await self._book.reserve(self.site, floor, len(wanted))
        self._generations = {a: (h, g) for (a, h), g in zip(wanted.items(), reserved, strict=True)}
        return self._generations.pop(account_id)[1]

    async def _receive(self, account_id: str, move: Move, receipt: Receipt) -> bool:
        self._receipts += 1
        if receipt.outcome in ("accepted", "duplicate"):
            self._given = max(self._given, receipt.generation)
            self.held[account_id] = move.to_hash
            self._book.told(self.site, account_id, SiteEvent.ACCEPTED, "")
            return True
        log.warning("site did not accept", site=self.site, account=account_id, outcome=receipt.outcome,
                    generation=receipt.generation, reason=receipt.reason)  # fmt: skip
        if receipt.outcome == "refused":
            self._refuse(account_id, move, receipt.reason or "the agent refused it")
            return True
        # Conflict, or stale: the site is not where its last status said. Somebody else may command it, too.
        await self._ask()
        self._mark(account_id)
        return False

    def _refuse(self, account_id: str, move: Move, reason: str) -> None:
        self._refused[account_id] = move.to_hash
        self._book.told(self.site, account_id, SiteEvent.REFUSED, reason)

    def _same_site(self, said: str) -> None:
        if said != self.site:
            raise WrongSiteError(
                f"the agent dialled as {self.site} says that it is {said}: check --site; it is given nothing"
            )


def _why(error: Exception) -> str:
    """Say it to customers, too: they are not told where our store is."""
    return "the store cannot be used now" if isinstance(error, StoreUnavailableError) else str(error)
