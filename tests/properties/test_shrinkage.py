"""An older copy of the store, restored: whatever happened before and since, nothing is withdrawn by it."""

from __future__ import annotations

import asyncio
import functools
import itertools
import shutil
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from controller.bgp import Prefix
from controller.rollout import backoff, reports
from controller.rollout.delivery import Move, Unknown, foreign_chunks, next_move
from controller.rollout.driver import Driver
from controller.rollout.site import SiteFollower
from controller.rollout.tables import RolloutRow
from controller.safety.effects import effects, subtractive
from controller.snapshots import outbox
from controller.snapshots.model import (
    BgpPrefixObject,
    BindingObject,
    Change,
    ChangeSet,
    Chunk,
    ChunkHash,
    PrefixObject,
    decode_chunk,
)
from controller.store import Store, open_store
from controller.transport.messages import Command
from tests.driving import living
from tests.fake_agent import FakeAgent, MemoryLink
from tests.guarding import unguarded

DEADLINE_S = 60.0
MEMORY = Path("/dev/shm")  # if it is there: durability is no part of this
SITES = ("site1", "site2")
ACCOUNTS = ("acme", "globex")
WHOLE = {"acme": Prefix("198.18.0.0/23"), "globex": Prefix("198.18.2.0/23"), "later": Prefix("198.18.4.0/23")}
PARTS = {
    account: [Prefix(f"198.18.{2 * n}.0/24"), Prefix(f"198.18.{2 * n + 1}.0/24")]
    for n, account in enumerate(WHOLE)
}


def change(numbers: itertools.count[int], account: str, *changes: Change) -> ChangeSet:
    return ChangeSet(f"cs{next(numbers)}", account, "test", "why", "2026-01-01T00:00:00Z", changes)


def onboarding(account: str) -> list[Change]:
    return [
        Change(prefix=PrefixObject(f"{account}-p", WHOLE[account], None)),
        Change(binding=BindingObject(f"{account}-b", f"{account}-p", WHOLE[account], "cdn")),
    ]


def toggled(account: str, part: int, advertised: bool) -> Change:
    return Change(
        bgp_prefix=BgpPrefixObject(
            f"{account}-g{part}", f"{account}-p", PARTS[account][part], None, advertised
        )
    )


@functools.cache
def an_empty_database() -> bytes:
    """Migrations cost more than a whole history."""
    with tempfile.TemporaryDirectory() as folder:
        open_store(Path(folder) / "herald.db").close()
        return (Path(folder) / "herald.db").read_bytes()


@dataclass
class Received:
    """A command, with what the site held when it came."""

    site: str
    command: Command
    before: Chunk | None

    @property
    def taken_away(self) -> set[Prefix]:
        assert self.command.chunk is not None and self.command.to_hash is not None
        after = decode_chunk(self.command.chunk, self.command.to_hash)
        return {e.cidr for e in subtractive(effects(self.before, after, [self.site]))}


class RecordingLink(MemoryLink):
    def __init__(self, agent: FakeAgent, received: list[Received]) -> None:
        super().__init__(agent)
        self.received = received

    async def deliver(self, commands: Sequence[Command]):
        if self.up:
            for command in commands:
                before = self.agent.chunks.get(command.account_id)
                self.received.append(Received(self.agent.site, command, before))
        return await super().deliver(commands)


@dataclass
class World:
    """Two agents that outlive every store."""

    folder: Path
    received: list[Received] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        agents = [FakeAgent(site, self.folder / site) for site in SITES]
        self.links = {a.site: RecordingLink(a, self.received) for a in agents}

    async def live(self, path: Path, life: Callable[[Life], Awaitable[None]]) -> None:
        """One life of a driver over the store at ``path``."""
        store = open_store(path)
        driver = Driver(store, self.links, guard=unguarded())
        try:
            async with living(driver), asyncio.timeout(DEADLINE_S):
                one = Life(self, store, driver)
                await life(one)
                await one.quiet()
        finally:
            store.close()


@dataclass
class Life:
    world: World
    store: Store
    driver: Driver
    submitted: list[str] = field(default_factory=list)

    def submit(self, account: str, *changes: Change) -> None:
        change_set = change(self.world.numbers, account, *changes)
        with self.store.write() as session:
            outbox.append(session, change_set)
        self.driver.change_set_queued(change_set.id)
        self.submitted.append(change_set.id)

    async def quiet(self) -> None:
        """Wait until nothing moves any more, sites that cannot be reached left aside."""
        followers = self.driver.sites.values()
        while not (  # noqa: ASYNC110 (three kinds of things move)
            all(f.view.reachable is self.world.links[f.site].up and not f.in_flight for f in followers)
            and not any(f.view.reachable and self._lacks(f) for f in followers)
            and all(self._still(id_) for id_ in self.submitted)
        ):
            await asyncio.sleep(0.004)

    def _lacks(self, follower: SiteFollower) -> bool:
        site, known = follower.site, self.driver.known
        return any(
            isinstance(next_move(target.hash, follower.held.get(a), known, foreign=foreign), Move)
            for a, target in self.driver.targets(site).items()
            for foreign in [self.driver.conflicts.is_foreign(site, a)]
        )

    def _still(self, change_set_id: str) -> bool:
        with self.store.read() as session:
            found = reports.change_set(session, change_set_id)
        moving = {"pending", "delivered", "waiting"}
        return found.state in ("done", "failed") or (
            found.rollout_id is not None and not any(s.state in moving for s in found.sites.values())
        )


Step = tuple[str, str, int, bool]
HISTORY = st.lists(
    st.one_of(
        st.tuples(st.just("toggle"), st.sampled_from(ACCOUNTS), st.integers(0, 1), st.booleans()),
        st.tuples(st.sampled_from(["up", "down"]), st.sampled_from(SITES), st.just(0), st.just(False)),
    ),
    max_size=5,
)
AFTERWARDS = st.lists(
    st.one_of(
        st.tuples(st.just("toggle"), st.sampled_from(ACCOUNTS), st.integers(0, 1), st.just(True)),
        st.tuples(st.just("onboard"), st.just("later"), st.integers(0, 1), st.just(True)),
        st.tuples(st.just("up"), st.sampled_from(SITES), st.just(0), st.just(False)),
        st.tuples(st.just("restart"), st.just(""), st.just(0), st.just(False)),
    ),
    max_size=4,
)


def do(life: Life, step: Step) -> None:
    what, whose, part, advertised = step
    if what == "toggle":
        life.submit(whose, toggled(whose, part, advertised))
    elif what == "onboard":
        life.submit(whose, *onboarding(whose), toggled(whose, part, advertised))
    elif what in ("up", "down"):
        life.world.links[whose].go(what == "up")


OFF, ON, OTHER = (
    ("toggle", "acme", 0, False),
    ("toggle", "acme", 0, True),
    ("toggle", "acme", 1, True),
)


@settings(max_examples=12, phases=(Phase.explicit, Phase.generate))  # a history is short as it is
@example([OFF], [], [ON], set(), [OTHER])  # what the site holds now, the copy knows from before
@example([OFF], [], [ON], {"site1"}, [OTHER, ("restart", "", 0, False), OTHER])
@example([OFF], [], [ON], set(), [("restart", "", 0, False), OTHER])
@example([], [OFF], [ON], set(), [OTHER])  # the copy has the withdrawal under way
@example([("down", "site1", 0, False)], [OFF], [("up", "site1", 0, False), ON], {"site2"}, [OTHER])
@given(before=HISTORY, at_once=HISTORY, since=HISTORY, down=st.sets(st.sampled_from(SITES)), after=AFTERWARDS)
def test_an_older_copy_restored_withdraws_nothing(
    before: list[Step], at_once: list[Step], since: list[Step], down: set[str], after: list[Step]
) -> None:
    """``at_once`` are steps on which the copy is taken, so that it has roll-outs under way."""
    folder = Path(tempfile.mkdtemp(prefix="herald-shrink-", dir=MEMORY if MEMORY.is_dir() else None))
    (folder / "herald.db").write_bytes(an_empty_database())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backoff, "LONGEST_S", 0.02)
        try:
            asyncio.run(history(World(folder), before, at_once, since, down, after))
        finally:
            shutil.rmtree(folder)


async def history(  # noqa: PLR0917 (Hypothesis' words)
    world: World,
    before: list[Step],
    at_once: list[Step],
    since: list[Step],
    down: set[str],
    after: list[Step],
) -> None:
    original, older = world.folder / "herald.db", world.folder / "older.db"

    async def first(life: Life) -> None:
        for account in ACCOUNTS:
            life.submit(account, *onboarding(account), toggled(account, 0, True), toggled(account, 1, False))
        for step in before:
            do(life, step)
            await life.quiet()
        for step in at_once:
            do(life, step)
        with closing(sqlite3.connect(original)) as source, closing(sqlite3.connect(older)) as copy:
            source.backup(copy)
        for step in since:
            do(life, step)
            await life.quiet()

    await world.live(original, first)
    known = rollouts_of(older)
    newer = {r.site for r in world.received if r.command.rollout_id not in known}
    named = {
        p for kind, whose, part, on in [*before, *at_once] if kind == "toggle" for p in [PARTS[whose][part]]
    }
    received = len(world.received)
    for site in SITES:
        world.links[site].up = site not in down
    lives = [
        list(steps)
        for is_restart, steps in itertools.groupby(after, lambda s: s[0] == "restart")
        if not is_restart
    ]
    for steps in [*(lives or [[]]), [("up", site, 0, False) for site in SITES]]:

        async def additive(life: Life, steps: list[Step] = steps) -> None:
            for step in steps:
                do(life, step)
                await life.quiet()

        await world.live(older, additive)
    for found in world.received[received:]:
        if found.site in newer:
            assert found.taken_away == set(), "the site knows more than the copy"
        else:
            assert found.taken_away <= named, "the site lagged behind what the copy's own change-sets named"


def rollouts_of(path: Path) -> set[str]:
    store = open_store(path)
    with store.read() as session:
        found = set(session.scalars(select(RolloutRow.id)))
    store.close()
    return found


CHUNKS = st.sampled_from([ChunkHash(c * 64) for c in "abc"])
TREES = st.dictionaries(st.sampled_from(["acme", "globex", "initech"]), CHUNKS)


@given(TREES, TREES, TREES, st.integers(0, 5), st.integers(0, 5))
def test_what_came_from_elsewhere_is_never_replaced(
    held: dict[str, ChunkHash],
    targets: dict[str, ChunkHash],
    found: dict[str, ChunkHash],
    generation: int,
    high: int,
) -> None:
    foreign = foreign_chunks(held, generation, high, targets, found)
    known = {*held.values(), *targets.values(), *found.values()}
    if generation <= high:
        assert foreign == {}, "all that the site was told is in the store's own past"
    for account, target in targets.items():
        move = next_move(target, held.get(account), known, foreign=account in foreign)
        if generation > high and account in held and held[account] not in (target, found.get(account)):
            assert move == Unknown(held[account], foreign=True)
            assert "restore the newer database" in move.reason
        elif held.get(account) != target:
            assert move == Move(held.get(account), target)
