"""What tests of the roll-outs' driver share: its life over a store and agents, and change-sets to give it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import shutil
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from controller.bgp import Prefix
from controller.guard.admission import Guard
from controller.rollout import reports
from controller.rollout.driver import Driver
from controller.rollout.reports import ChangeSetReport
from controller.snapshots import outbox
from controller.snapshots.model import BgpPrefixObject, BindingObject, Change, ChangeSet, PrefixObject
from controller.store import Store, open_store
from controller.transport.http import HttpSiteLink
from tests.fake_agent import FakeAgent
from tests.guarding import unguarded
from tests.stores import a_store

DEADLINE_S = 20.0
OVER = frozenset({"done", "failed", "held"})
SITES = ("site1", "site2")
ACME, GLOBEX = Prefix("192.0.2.0/24"), Prefix("198.51.100.0/24")

_numbers = itertools.count(1)


def change(
    account: str,
    *changes: Change,
    actor: str = "test",
    lane: str | None = None,
    intents: tuple[str, ...] = (),
) -> ChangeSet:
    """Return a change-set with an id of its own."""
    id_, at = f"cs{next(_numbers)}", "2026-01-01T00:00:00Z"
    return ChangeSet(id_, account, actor, "why", at, changes, intents, lane)


def onboard(account: str, cidr: Prefix, *, advertised: bool = True) -> ChangeSet:
    """Return a change-set that brings an account's one prefix, with binding and BGP prefix."""
    return change(
        account,
        Change(prefix=PrefixObject(f"{account}-p", cidr, None)),
        Change(binding=BindingObject(f"{account}-b", f"{account}-p", cidr, "cdn")),
        Change(bgp_prefix=BgpPrefixObject(f"{account}-g", f"{account}-p", cidr, None, advertised)),
    )


def toggle(account: str, cidr: Prefix, advertised: bool) -> ChangeSet:
    """Return a change-set that announces or withdraws what :func:`onboard` brought."""
    bgp = BgpPrefixObject(f"{account}-g", f"{account}-p", cidr, None, advertised)
    return change(account, Change(bgp_prefix=bgp))


def at(report: ChangeSetReport, site: str) -> str:
    """Return the state at a site; empty before the roll-out has begun."""
    return report.sites[site].state if site in report.sites else ""


@contextlib.asynccontextmanager
async def living(driver: Driver) -> AsyncIterator[None]:
    """Start a driver and let it run until the block ends."""
    await driver.start()
    running = asyncio.create_task(driver.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait([running])
        await driver.close()


@contextlib.contextmanager
def living_in_a_thread(driver: Driver) -> Iterator[None]:
    """The same on an event loop of its own, for tests that are no coroutines."""
    loop, stop, started = asyncio.new_event_loop(), asyncio.Event(), threading.Event()

    async def live() -> None:
        async with living(driver):
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(live()), daemon=True)
    thread.start()
    try:
        assert started.wait(DEADLINE_S), "the driver has not started"
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(DEADLINE_S)


class Controller:
    """A driver over a store; whoever makes one closes the store."""

    def __init__(self, store: Store, driver: Driver) -> None:
        self.store = store
        self.driver = driver

    def submit(self, change_set: ChangeSet) -> str:
        """Queue a change-set; return its id."""
        with self.store.write() as session:
            outbox.append(session, change_set)
        self.driver.change_set_queued(change_set.id)
        return change_set.id

    def report(self, change_set_id: str) -> ChangeSetReport:
        """Return what is known of a change-set."""
        with self.store.read() as session:
            return reports.change_set(session, change_set_id)

    async def until(self, change_set_id: str, wanted: Callable[[ChangeSetReport], bool]) -> ChangeSetReport:
        """Wait until a change-set is as it is wanted."""
        moved = self.driver.watch(change_set_id)
        async with asyncio.timeout(DEADLINE_S):
            while not wanted(found := self.report(change_set_id)):
                await moved.wait()
                moved.clear()
        self.driver.unwatch(change_set_id, moved)
        return found

    async def over(self, change_set_id: str) -> ChangeSetReport:
        """Wait until a change-set is done, failed or held."""
        return await self.until(change_set_id, lambda r: r.state in OVER)

    async def does(self, change_set: ChangeSet) -> ChangeSetReport:
        """Submit it, and wait until it is over."""
        return await self.over(self.submit(change_set))


@contextlib.asynccontextmanager
async def controlling(
    path: Path, *agents: FakeAgent, guard: Guard | None = None
) -> AsyncIterator[Controller]:
    """One life of a driver over the store at ``path``, on HTTP; ``guard`` None: one that holds nothing."""
    store = open_store(a_store(path))
    links = {agent.site: HttpSiteLink(agent.site, str(agent.socket)) for agent in agents}
    driver = Driver(store, links, guard=guard or unguarded())
    try:
        async with living(driver):
            yield Controller(store, driver)
    finally:
        store.close()


def play(scenario: Callable[[Path, FakeAgent, FakeAgent], Awaitable[None]], folder: Path) -> None:
    """Run a scenario over the folder's store and the agents of two sites."""

    async def run() -> None:
        one, two = (FakeAgent(site, folder / f"{site}.sock") for site in SITES)
        await asyncio.gather(one.up(), two.up())
        try:
            await scenario(folder / "herald.db", one, two)
        finally:
            await asyncio.gather(one.down(), two.down())

    asyncio.run(run())


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """A short path for sockets, with two databases that are migrated already."""
    made = tmp_path_factory.mktemp("d")
    for name in ("herald.db", "new.db"):
        shutil.copy(empty_database, made / name)
    return made
