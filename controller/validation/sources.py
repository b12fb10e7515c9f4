"""All sources together: follows the VRPs, and looks up what a prefix's checks need."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import NoReturn

from controller.validation.checks import Answer, CheckName, Subject
from controller.validation.config import ValidationConfig
from controller.validation.errors import LookUpError, ValidationError
from controller.validation.feeds import Feed, FeedKind, FeedReport
from controller.validation.reverse import reverse_zones
from controller.validation.rpsl import RouteObject
from controller.validation.rtr_client import Timing
from controller.validation.rtr_session import RtrSession
from controller.validation.txt import make_resolver, zone_texts
from controller.validation.verdicts import Heard, judge_irr, judge_ownership, judge_rpki
from controller.validation.vrp_fetch import follow
from controller.validation.vrps import VrpSet
from controller.validation.whois_query import ask

Routes = list[Heard[tuple[RouteObject, ...]]]
Changed = Callable[[Feed, VrpSet | None], None]

MOST_ZONES_AT_ONCE = 16


class Sources:
    """Used from one event loop; ``changed`` is called there (see :class:`Feed`).

    ``baselines``: for each source of VRPs the number that was good in an earlier process.
    """

    def __init__(
        self, config: ValidationConfig, changed: Changed, baselines: Mapping[str, int] | None = None
    ) -> None:
        self.config = config
        known = baselines or {}
        kinds: tuple[tuple[FeedKind, tuple[str, ...]], ...] = (
            ("rtr", config.rtr),
            ("vrp_json", config.vrp_json),
        )
        self.feeds = {
            source: Feed(source, kind, config.shrinkage, changed, known.get(source))
            for kind, sources in kinds
            for source in sources
        }
        self._resolver = make_resolver(config.dns, config.dns_timeout_s) if config.dns else None
        self._zones = asyncio.Semaphore(MOST_ZONES_AT_ONCE)

    async def follow(self) -> NoReturn:
        """Follow all sources of VRPs; ends only when it is cancelled, or with what crashed one of them."""
        timing = Timing(self.config.rtr_timeout_s, self.config.rtr_expire_s)
        try:
            async with asyncio.TaskGroup() as group:
                for feed in self.feeds.values():
                    runs = RtrSession(feed, timing).run() if feed.kind == "rtr" else follow(feed, self.config)
                    group.create_task(runs, name=f"VRPs of {feed.source}")
                await asyncio.get_running_loop().create_future()
        finally:
            for feed in self.feeds.values():
                feed.close()
        raise AssertionError("a future that nobody sets has ended")

    def report(self) -> list[FeedReport]:
        """Return the sources of VRPs as an operator sees them."""
        return [feed.report() for feed in self.feeds.values()]

    def accept(self, source: str, count: int) -> None:
        """Take the set of ``source`` that was refused; raises :class:`ValidationError`."""
        if source not in self.feeds:
            known = ", ".join(self.feeds) or "none"
            raise ValidationError(f"no source of VRPs is called {source!r}: there are {known}")
        self.feeds[source].accept_refused(count)

    async def look(self, subject: Subject, names: Collection[CheckName]) -> dict[CheckName, Answer]:
        """Return an answer for each of the checks ``names``; what goes wrong is an answer, too.

        The whois servers are asked once for all checks that need them.
        """
        found: dict[CheckName, Answer] = {}
        if "rpki" in names:
            heard = [feed.heard() for feed in self.feeds.values()]
            found["rpki"] = judge_rpki(subject, heard, datetime.now(UTC))
        if "irr" in names or "ownership" in names:
            needs_dns = "ownership" in names and self._resolver is not None
            routes, zones = await asyncio.gather(
                self._routes(subject), self._texts(subject) if needs_dns else _nothing()
            )
            if "irr" in names:
                found["irr"] = judge_irr(subject, routes)
            if "ownership" in names:
                found["ownership"] = judge_ownership(subject, routes, zones)
        return found

    async def _routes(self, subject: Subject) -> Routes:
        async def one(server: str) -> Heard[tuple[RouteObject, ...]]:
            try:
                return Heard(server, await ask(server, subject.cidr, self.config.whois_timeout_s))
            except LookUpError as error:
                return Heard(server, None, str(error))

        return list(await asyncio.gather(*(one(server) for server in self.config.whois)))

    async def _texts(self, subject: Subject) -> list[Heard[tuple[str, ...]]]:
        resolver = self._resolver
        assert resolver is not None

        async def one(zone: str) -> Heard[tuple[str, ...]]:
            try:
                async with self._zones:
                    return Heard(zone, await zone_texts(resolver, zone))
            except LookUpError as error:
                return Heard(zone, None, str(error))

        return list(await asyncio.gather(*(one(zone) for zone in reverse_zones(subject.cidr))))


async def _nothing() -> list[Heard[tuple[str, ...]]]:
    return []
