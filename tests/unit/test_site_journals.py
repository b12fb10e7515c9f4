"""The controller's memory of sites' journals: a site that comes back with an older one gets nothing new.

And the other way round: a controller whose own database was put back quarantines nobody.
"""

from __future__ import annotations

import asyncio
from copy import copy
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.rollout import records
from controller.rollout.remembered import Remembered, behind
from controller.store import open_store
from controller.transport.messages import NewerJournal
from tests.driving import ACME, GLOBEX, controlling, onboard, play, toggle
from tests.fake_agent import FakeAgent
from tests.site_status import status
from tests.stores import a_store, stores

pytestmark = pytest.mark.stores


def backup(agent: FakeAgent) -> FakeAgent:
    """Return what a backup of the site's disk has."""
    found = copy(agent)
    found.accounts, found.chunks = dict(agent.accounts), dict(agent.chunks)
    return found


def restore(agent: FakeAgent, older: FakeAgent) -> None:
    """Put the backup back on the site."""
    agent.accounts, agent.chunks = dict(older.accounts), dict(older.chunks)
    agent.generation, agent.epoch, agent.resumed_from = older.generation, older.epoch, older.resumed_from
    agent.touch()


async def hears_of_it(agent: FakeAgent) -> None:
    """Wait until the site has been told."""
    async with asyncio.timeout(20):
        while not agent.quarantined:
            await agent.changed.wait()


@pytest.mark.parametrize("restarted", [False, True])
def test_a_restored_journal_is_told_so_and_gets_nothing_until_it_is_released(
    folder: Path, restarted: bool
) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        async with controlling(db, one, two) as controller:
            await controller.does(onboard("acme", ACME))
            older = backup(one)
            await controller.does(toggle("acme", ACME, False))
            newest = one.generation
            if not restarted:
                await one.down()
                restore(one, older)
                await one.up()
                await hears_of_it(one)
        if restarted:
            restore(one, older)
        sent = len(one.commands)
        async with controlling(db, one, two) as controller:
            found = controller.submit(onboard("globex", GLOBEX))
            await controller.until(
                found, lambda r: "site1" in r.sites and r.sites["site1"].state != "pending"
            )
            await hears_of_it(one)
            assert one.quarantined[0] == NewerJournal("site1", "e1", newest, 0)
            assert len(one.commands) == sent, "it gets nothing new"
            assert two.quarantined == []
            assert ACME in one.status().sent, "and goes on as it is"
            one.fault, one.resumed_from = "", ("e1", newest)  # somebody has signed what was revoked
            one.touch()
            assert (await controller.over(found)).state == "done"
            assert ACME not in one.status().sent, "what it had missed is brought"
            assert len(one.quarantined) == 1

    play(scenario, folder)


def test_a_journal_that_began_anew_is_another_one(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        empty = backup(one)
        empty.epoch = "e2"
        async with controlling(db, one, two) as controller:
            await controller.does(onboard("acme", ACME))
        restore(one, empty)
        async with controlling(db, one, two) as controller:
            later = controller.submit(onboard("globex", GLOBEX))
            await controller.until(
                later, lambda r: "site2" in r.sites and r.sites["site2"].state == "confirmed"
            )
            assert one.accounts == {}
            assert "another journal: it is of the life e2" in controller.driver.journals.fault("site1")
            assert "herald site sign-release" in controller.driver.journals.fault("site1")

    play(scenario, folder)


def test_a_restored_database_quarantines_nobody(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        older = db.with_name("older.db")
        async with controlling(db, one, two) as controller:
            await controller.does(onboard("acme", ACME))
        stores.copy(db, older)
        async with controlling(db, one, two) as controller:
            await controller.does(toggle("acme", ACME, False))
            # Meanwhile one site's journal was lost, and begun anew by a release, twice.
            for epoch in ("e2", "e3"):
                one.resumed_from, one.epoch = (one.epoch, one.generation), epoch
                one.touch()
                await controller.does(toggle("acme", ACME, epoch == "e3"))
        for _ in range(2):
            async with controlling(older, one, two) as controller:
                assert (await controller.does(onboard("globex", GLOBEX))).state == "done"
                assert one.quarantined == two.quarantined == []
                assert controller.driver.journals.fault("site1") == ""
        store = open_store(a_store(older))
        with store.read() as session:
            kept = records.remembered_journals(session)
        store.close()
        assert kept == {"site1": Remembered("e3", one.generation), "site2": Remembered("e1", two.generation)}

    play(scenario, folder)


def test_what_is_remembered_is_what_was_acknowledged(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        async with controlling(db, one, two) as controller:
            await controller.does(onboard("acme", ACME))
            await controller.does(toggle("acme", ACME, False))
        store = open_store(a_store(db))
        with store.read() as session:
            kept = records.remembered_journals(session)
        store.close()
        assert kept == {a.site: Remembered("e1", a.generation) for a in (one, two)}

    play(scenario, folder)


@given(
    had=st.integers(0, 5), has=st.integers(0, 5), beyond=st.integers(0, 3), life=st.sampled_from("ab"),
    resumed=st.none() | st.tuples(st.sampled_from("ab"), st.integers(0, 5)),
)  # fmt: skip
def test_which_journals_are_behind(
    had: int, has: int, beyond: int, life: str, resumed: tuple[str, int] | None
) -> None:
    """Never one that this store's own newer copy has commanded; always one that forgot what it had."""
    given_, said = had + beyond, status("s1", epoch=life, generation=has, resumed_from=resumed)
    why = behind(Remembered("a", had), said, given_)
    if has > given_ or (life == "a" and has >= had):
        assert why == "", "the store is the older, or all is well"
    elif resumed is None or resumed[0] != "a" or resumed[1] < had:
        assert "herald site sign-release" in why
    else:
        assert why == "", "it was released in place of what is remembered"
    assert behind(None, said, given_) == "", "a store that has heard of nothing quarantines nobody"
