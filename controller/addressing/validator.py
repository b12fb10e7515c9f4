"""Does the checks that are due, in ``herald serve``: several at once, and none with the store in hand.

What is to be done stands in the table (``due_at``), so that a restart goes on where it was. A job is read in
one transaction, looked up without any, and recorded in another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import NoReturn, TypeVar

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from controller.addressing import prefix_checks
from controller.addressing.prefix_checks import Job, Result
from controller.addressing.validation_tables import VrpBaselineRow
from controller.store import Store
from controller.validation.config import NO_SOURCE, ValidationConfig
from controller.validation.errors import ValidationError
from controller.validation.feeds import Feed, FeedReport
from controller.validation.sources import Sources
from controller.validation.vrps import VrpSet

log = structlog.get_logger()

LONGEST_WAIT_S = 30.0
"""Seconds after which it looks again, though nobody woke it: another process may have written."""

T = TypeVar("T")


class Validator:
    """Whoever does the checks; see :class:`controller.addressing.validation_view.Validation`."""

    def __init__(self, store: Store, config: ValidationConfig) -> None:
        self._store = store
        self._config = config
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        self._sources: Sources | None = None
        self._changes: asyncio.Queue[tuple[Feed, VrpSet | None]] = asyncio.Queue()

    @property
    def config(self) -> ValidationConfig:
        """The sources, and what follows from their answers."""
        return self._config

    def wake(self) -> None:
        """Look at what is due now."""
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._woken.set)

    def report(self) -> Sequence[FeedReport]:
        """Return the sources of VRPs as they are."""
        return () if self._sources is None else self._sources.report()

    def accept(self, source: str, count: int) -> None:
        """Take a refused set of VRPs; raises :class:`ValidationError`."""
        sources, loop = self._sources, self._loop
        if sources is None or loop is None:
            raise ValidationError(NO_SOURCE)

        async def in_loop() -> None:
            sources.accept(source, count)

        asyncio.run_coroutine_threadsafe(in_loop(), loop).result(LONGEST_WAIT_S)

    async def run(self) -> NoReturn:
        """Follow the sources and do what is due; ends only when cancelled, or with what crashed a part."""
        self._loop = asyncio.get_running_loop()
        self._changes = asyncio.Queue()
        baselines = await asyncio.to_thread(self._baselines)
        self._sources = Sources(
            self._config, lambda feed, vrps: self._changes.put_nowait((feed, vrps)), baselines
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sources.follow(), name="sources of VRPs")
            group.create_task(self._concern(), name="whom other VRPs concern")
            await self._work(self._sources)

    def _changed(self, feed: Feed, difference: VrpSet | None) -> None:
        self._changes.put_nowait((feed, difference))

    async def _work(self, sources: Sources) -> NoReturn:
        running: dict[str, asyncio.Task[Result]] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                self._woken.clear()
                room, wait = self._config.concurrency - len(running), LONGEST_WAIT_S
                if room:
                    jobs, wait = await self._due(room, list(running))
                    for job in jobs:
                        running[job.subject.prefix_id] = group.create_task(_look(sources, job))
                await self._something(list(running.values()), wait)
                done = [name for name, task in running.items() if task.done()]
                results = [running.pop(name).result() for name in done]
                if results:
                    await self._write(partial(prefix_checks.record, results=results, config=self._config))

    async def _something(self, tasks: Sequence[asyncio.Task[Result]], wait_s: float) -> None:
        """Return when a look-up ended, somebody woke us, or after ``wait_s`` seconds."""
        woken = asyncio.create_task(self._woken.wait())
        try:
            await asyncio.wait({woken, *tasks}, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()

    async def _due(self, room: int, busy: list[str]) -> tuple[list[Job], float]:
        """Return the jobs to begin, and the seconds until there may be another one."""

        def read() -> tuple[list[Job], float]:
            now = datetime.now(UTC)
            with self._store.read() as session:
                jobs = prefix_checks.due(session, self._config, now, room, busy)
                following = prefix_checks.next_due(session, self._config)
            if jobs or following is None:
                return jobs, LONGEST_WAIT_S
            return jobs, min(max((following - now).total_seconds(), 0.05), LONGEST_WAIT_S)

        return await asyncio.to_thread(read)

    async def _concern(self) -> NoReturn:
        """Let the checks be done of prefixes that other VRPs concern, and of those that have none yet."""
        while True:
            changes: list[tuple[Feed, VrpSet | None]] = []
            try:
                async with asyncio.timeout(LONGEST_WAIT_S):
                    changes.append(await self._changes.get())
            except TimeoutError:
                pass
            while not self._changes.empty():
                changes.append(self._changes.get_nowait())
            if await self._write(partial(self._make_due, changes=changes)):
                self._woken.set()

    def _make_due(self, session: Session, changes: Sequence[tuple[Feed, VrpSet | None]]) -> int:
        now = datetime.now(UTC)
        count = prefix_checks.adopt(session, self._config.available(), now)
        for feed, difference in changes:
            found = prefix_checks.affected(session, difference)
            prefix_checks.make_due(session, found, "rpki", now)
            count += len(found)
            if feed.good is not None:
                session.merge(VrpBaselineRow(source=feed.source[:500], vrps=len(feed.good), at=now))
        return count

    async def _write(self, work: Callable[[Session], T]) -> T:
        def write() -> T:
            with self._store.write() as session:
                return work(session)

        return await asyncio.to_thread(write)

    def _baselines(self) -> dict[str, int]:
        with self._store.read() as session:
            return {row.source: row.vrps for row in session.scalars(select(VrpBaselineRow))}


async def _look(sources: Sources, job: Job) -> Result:
    at = datetime.now(UTC)
    return Result(job, await sources.look(job.subject, job.due), at)
