"""Follows one site: long-polls its status, and delivers what it lacks, some commands at a time.

Level-triggered: what is sent comes from comparing what the site is to have with what it says it has, so
that a lost answer, a restart on either side or a site that was away for a week all end the same way.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import NoReturn, Protocol

import structlog

from controller.addressing.times import rfc3339
from controller.rollout.backoff import delay_s
from controller.rollout.crash_points import crash_point
from controller.rollout.delivery import Move, Unknown, next_move
from controller.rollout.errors import JournalBehindError, WrongSiteError
from controller.rollout.remembered import Remembered
from controller.rollout.states import SiteEvent
from controller.rollout.tracked import Handing, Target
from controller.snapshots.model import ChunkHash, DamagedChunkError
from controller.store import StoreUnavailableError
from controller.transport.errors import TransportError
from controller.transport.messages import (
    Command,
    Confirmation,
    NewerJournal,
    Receipt,
    RegistryNews,
    SiteStatus,
)
from controller.transport.protocol import SiteLink

POLL_S = 10.0
"""Seconds that a long poll of a status lasts."""

COMMANDS_AT_ONCE = 200
"""Commands that are handed over together: one write for their generations, one sync of the agent's journal.

Each generation is for one target, which is on disk already: so a copy of the store that knows of the
generation knows of the target, too, and a site with a higher one than the store knows of shows that the store
is older.
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
    """What a follower asks: what its site is to have, and with what it is handed over."""

    @property
    def known(self) -> Container[str]:
        """Names of all chunks that this controller ever made."""
        ...

    @property
    def fence(self) -> int:
        """The token by which this controller leads; agents refuse a lower one than they have heard of."""
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

    def remembered(self, site: str) -> Remembered | None:
        """What is remembered of the site's journal."""
        ...

    def behind(self, status: SiteStatus, before: Remembered | None, given: int) -> str:
        """Why the site's journal is behind what was remembered and given when it was asked; or empty."""
        ...

    def saw(self, status: SiteStatus) -> None:
        """The site, which is not behind, tells this of its journal."""
        ...

    def acknowledged(self, site: str, generation: int) -> None:
        """The site has journalled a command of this generation."""
        ...

    async def recognise(self, status: SiteStatus) -> None:
        """Keep that the site was given commands that this store does not know."""
        ...

    async def bodies(self, hashes: Collection[ChunkHash]) -> Mapping[ChunkHash, bytes | DamagedChunkError]:
        """The chunks' bytes, or what is wrong with them."""
        ...

    def handing(self, site: str, account_id: str) -> Handing:
        """How the account's target is handed to the site now."""
        ...

    async def intents(
        self, moves: Mapping[str, tuple[ChunkHash | None, ChunkHash]]
    ) -> Mapping[str, tuple[str, ...]]:
        """The intents that go with moves (from, to), by account."""
        ...

    async def registry(self, accounts: Collection[str]) -> Mapping[str, str]:
        """The signed entries of the registry, by account; none from whoever issues none."""
        ...

    async def revoked(self, site: str, after: int) -> RegistryNews | None:
        """What the ledger of revocations got after that number, a part at a time; None: nothing."""
        ...

    async def reserve(self, site: str, floor: int, count: int) -> range:
        """Generations that were never given, all above ``floor``, kept on disk."""
        ...


class Ear(Protocol):
    """Whom a follower tells what it hears of its site."""

    def heard(self, site: str) -> None:
        """The site's view or what it holds has changed."""
        ...

    def unreached(self, site: str, reason: str) -> None:
        """Nobody answers at the site."""
        ...

    def told(self, site: str, account_id: str, event: SiteEvent, reason: str) -> None:
        """The site's answer to (or the reason against) delivering an account's target."""
        ...


class SiteFollower:
    """One site's two loops; ``view`` and ``held`` are what it has learnt so far."""

    def __init__(self, site: str, link: SiteLink, book: Book, ear: Ear) -> None:
        self.site = site
        self.link = link
        self.view = SiteView(site)
        self.held: dict[str, ChunkHash] = {}
        self.in_flight: frozenset[str] = frozenset()
        self.tried = asyncio.Event()
        """Set once the site has answered, or has not, for the first time."""
        self._book = book
        self._ear = ear
        self._dirty: dict[str, None] = {}  # accounts to look at, in order
        self._wake = asyncio.Event()
        self._given = 0  # the newest generation that was journalled
        self._receipts = 0
        self._refused: dict[str, ChunkHash] = {}
        self._generations: dict[str, int] = {}  # by account, of the newest command that was journalled

    def look_at(self, account_id: str) -> None:
        """Compare this account again: its target has changed."""
        self._refused.pop(account_id, None)
        self._mark(account_id)

    def given_at(self, account_id: str) -> int:
        """The generation of the account's newest command since this process began; 0 if there was none."""
        return self._generations.get(account_id, 0)

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

        Raises :class:`TransportError`, :class:`WrongSiteError`, :class:`StoreUnavailableError`; and
        :class:`JournalBehindError` when its journal is not the one that is remembered: the agent is told.
        """
        before = self._book.remembered(self.site)
        status = await self.link.status(after=after, wait=wait)
        self._same_site(status.site)
        while not status.fault:
            given = self._book.given(self.site)
            why = self._book.behind(status, before, given)
            if before is not None and why:
                await self.link.quarantine(
                    NewerJournal(self.site, before.epoch, before.generation, self._book.fence)
                )
                raise JournalBehindError(why)
            if status.generation <= given:
                break
            await self._book.recognise(status)
            before = self._book.remembered(self.site)
            status = await self.link.status()  # it may have changed meanwhile
            self._same_site(status.site)
        if status.registry == "on" and not status.fault:
            await self._tell_what_was_revoked(status.revocations)
            await self._tell_what_is_lacked(status)
        return status

    async def _tell_what_was_revoked(self, told: int) -> None:
        """Tell a site that checks the registry what the ledger got since, before it is sent anything else."""
        while (news := await self._book.revoked(self.site, told)) is not None:
            receipt = await self.link.enrol(news)
            if receipt.outcome != "accepted":
                log.warning("site does not take in what was revoked", site=self.site,
                            outcome=receipt.outcome, reason=receipt.reason)  # fmt: skip
                return  # its status goes on saying so, and it is told again
            told = news.revocations

    async def _tell_what_is_lacked(self, status: SiteStatus) -> None:
        """Bring the newest entries of accounts of which a site has or believes none, or bars something.

        So whatever was wrong (a key, an approval that came later) goes on by itself once it is mended.
        """
        lacking = {c.account_id for c in status.conflicts if c.prefix is None}
        lacking |= {h.account_id for h in status.held if (h.check, h.verb) == ("registry", "announce")}
        if lacking:
            some = random.sample(sorted(lacking), min(len(lacking), COMMANDS_AT_ONCE))
            entries = dict(await self._book.registry(some))
            if entries:
                await self.link.enrol(RegistryNews(self.site, entries, status.revocations, self._book.fence))

    def _heard(self, status: SiteStatus) -> None:
        if status.fault:  # what it says it holds is not what it has: it is given nothing
            self._lost(f"the agent is quarantined: {status.fault}", status)
            return
        if not self.view.reachable:
            log.info("site answers", site=self.site, generation=status.generation, epoch=status.epoch)
            self._refused.clear()
        self.view = SiteView(self.site, True, "", status, rfc3339(datetime.now(UTC)))
        self.held = dict(status.accounts)
        self._book.saw(status)
        self.tried.set()
        self._ear.heard(self.site)
        for account_id, target in self._book.targets(self.site).items():
            if self.held.get(account_id) != target.hash or account_id in status.unconfirmed:
                self._mark(account_id)

    def _lost(self, reason: str, status: SiteStatus | None = None) -> None:
        if self.view.reachable is not False or self.view.reason != reason:
            log.warning("site takes no commands", site=self.site, reason=reason)
        self.view = SiteView(self.site, False, reason, status or self.view.status, self.view.heard_at)
        self.tried.set()
        self._ear.unreached(self.site, reason)

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
                if await self._deliver_some():
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

    async def _deliver_some(self) -> bool:
        """Bring the next accounts one step on; False: it did not work, and will be tried again."""
        moves: dict[str, tuple[Move, str]] = {}
        final: list[str] = []
        for account_id in list(islice(self._dirty, COMMANDS_AT_ONCE)):
            del self._dirty[account_id]
            found = self._next(account_id)
            if found is not None:
                moves[account_id] = found
            elif self._may_confirm(account_id):
                final.append(account_id)
        if final and not await self._confirm(final):
            for account_id in moves:
                self._mark(account_id)
            return False
        if not moves:
            return True
        self.in_flight = frozenset(moves)
        try:
            commands = await self._commands(moves)
            crash_point("generation-reserved")
            receipts = await self.link.deliver(commands) if commands else []
            crash_point("command-received")
            for receipt in receipts:
                self._same_site(receipt.site)
        except (TransportError, WrongSiteError, StoreUnavailableError) as error:
            for account_id in moves:
                self._mark(account_id)
            self._lost(_why(error))
            return False
        finally:
            self.in_flight = frozenset()
        sound = True
        for command, receipt in zip(commands, receipts, strict=True):
            sound = self._receive(command.account_id, moves[command.account_id][0], receipt) and sound
        if not sound:
            # The site is not where its last status said. Somebody else may command it, too.
            await self._ask()
        return sound

    def _may_confirm(self, account_id: str) -> bool:
        """Tell whether the site waits to hear that what it holds is final, and it is."""
        status, target = self.view.status, self._book.targets(self.site).get(account_id)
        if status is None or target is None or account_id not in status.unconfirmed:
            return False
        return self.held.get(account_id) == target.hash and self._book.handing(self.site, account_id).final

    async def _confirm(self, accounts: Sequence[str]) -> bool:
        """Tell the site that what it holds of these accounts is final; False: it did not work."""
        assert self.view.status is not None, "it says what waits"
        unconfirmed = self.view.status.unconfirmed
        try:
            for account_id in accounts:
                message = Confirmation(self.site, account_id, unconfirmed[account_id], self._book.fence)
                crash_point("confirming")
                receipt = await self.link.confirm(message)
                crash_point("confirmation-received")
                self._same_site(receipt.site)
                log.info("confirmed", site=self.site, account=account_id, generation=message.generation,
                         outcome=receipt.outcome, reason=receipt.reason)  # fmt: skip
        except (TransportError, WrongSiteError) as error:
            for account_id in accounts:
                self._mark(account_id)
            self._lost(_why(error))
            return False
        return True

    def _next(self, account_id: str) -> tuple[Move, str] | None:
        """Return what to send of an account, and by which roll-out; None: nothing."""
        target = self._book.targets(self.site).get(account_id)
        if target is None or self._refused.get(account_id) == target.hash:
            return None
        foreign = self._book.is_foreign(self.site, account_id)
        move = next_move(target.hash, self.held.get(account_id), self._book.known, foreign=foreign)
        if isinstance(move, Unknown):
            self._ear.told(self.site, account_id, SiteEvent.CONFLICTED, move.reason)
            return None
        if move is None or self._book.handing(self.site, account_id).withheld:
            return None
        return move, target.rollout_id

    async def _commands(self, moves: Mapping[str, tuple[Move, str]]) -> list[Command]:
        """Return the commands for what has a sound chunk, each with a generation of its own."""
        bodies = await self._book.bodies({move.to_hash for move, _ in moves.values()})
        sound: dict[str, bytes] = {}
        for account_id, (move, _) in moves.items():
            body = bodies[move.to_hash]
            if isinstance(body, DamagedChunkError):
                self._refuse(account_id, move, str(body))
            else:
                sound[account_id] = body
        if not sound:
            return []
        steps = {a: (moves[a][0].from_hash, moves[a][0].to_hash) for a in sound}
        carried = await self._book.intents({a: step for a, step in steps.items() if step[0] is not None})
        registry = await self._book.registry(sound.keys())
        handing = {account_id: self._book.handing(self.site, account_id) for account_id in sound}
        status = self.view.status
        floor = max(self._given, 0 if status is None else status.generation)
        generations = await self._book.reserve(self.site, floor, len(sound))
        return [
            Command(
                site=self.site,
                generation=generation,
                rollout_id=moves[account_id][1],
                account_id=account_id,
                from_hash=moves[account_id][0].from_hash,
                to_hash=moves[account_id][0].to_hash,
                chunk=body,
                intents=carried.get(account_id, ()),
                registry=registry.get(account_id, ""),
                lane=handing[account_id].lane,
                confirm_within_s=handing[account_id].confirm_within_s,
                fence=self._book.fence,
            )
            for generation, (account_id, body) in zip(generations, sound.items(), strict=True)
        ]

    def _receive(self, account_id: str, move: Move, receipt: Receipt) -> bool:
        """Take note of an answer; False: the site was not where it was thought to be."""
        self._receipts += 1
        if receipt.outcome in ("accepted", "duplicate"):
            self._given = max(self._given, receipt.generation)
            self._book.acknowledged(self.site, receipt.generation)
            self._generations[account_id] = receipt.generation
            self.held[account_id] = move.to_hash
            self._ear.told(self.site, account_id, SiteEvent.ACCEPTED, "")
            return True
        log.warning("site did not accept", site=self.site, account=account_id, outcome=receipt.outcome,
                    generation=receipt.generation, reason=receipt.reason)  # fmt: skip
        if receipt.outcome == "refused":
            self._refuse(account_id, move, receipt.reason or "the agent refused it")
            return True
        self._mark(account_id)  # conflict, or stale
        return False

    def _refuse(self, account_id: str, move: Move, reason: str) -> None:
        self._refused[account_id] = move.to_hash
        self._ear.told(self.site, account_id, SiteEvent.REFUSED, reason)

    def _same_site(self, said: str) -> None:
        if said != self.site:
            raise WrongSiteError(
                f"the agent dialled as {self.site} says that it is {said}: check --site; it is given nothing"
            )


def _why(error: Exception) -> str:
    """Say it to customers, too: they are not told where our store is."""
    return "the store cannot be used now" if isinstance(error, StoreUnavailableError) else str(error)
