"""A driver over an older copy of its store: recognised, shown, and nothing is withdrawn by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.rollout import records
from controller.rollout.errors import StoreReplacedError
from controller.snapshots import outbox
from controller.store import open_store
from tests.driving import ACME, GLOBEX, at, controlling, onboard, play, toggle
from tests.fake_agent import FakeAgent
from tests.stores import a_store, stores

pytestmark = pytest.mark.stores
ON_THE_AIR = {ACME: (64500,)}


async def on_off_copy_on(db: Path, one: FakeAgent, two: FakeAgent) -> Path:
    """Advertise, withdraw, copy, advertise again: the sites hold a chunk that the copy knows from before."""
    older = db.with_name("older.db")
    async with controlling(db, one, two) as controller:
        await controller.over(controller.submit(onboard("acme", ACME)))
        await controller.over(controller.submit(toggle("acme", ACME, False)))
    stores.copy(db, older)
    async with controlling(db, one, two) as controller:
        assert (await controller.over(controller.submit(toggle("acme", ACME, True)))).state == "done"
    return older


def test_a_site_that_knows_more_is_left_alone_though_its_chunk_is_known(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        older = await on_off_copy_on(db, one, two)
        sent = len(one.commands)
        for _ in range(2):  # what was recognised survives a restart, when the generations agree again
            async with controlling(older, one, two) as controller:
                other = await controller.over(controller.submit(onboard("globex", GLOBEX)))
                assert other.state == "done", "an account without a conflict goes on"
                found = await controller.over(controller.submit(toggle("acme", ACME, False)))
                assert found.state == "failed"
                assert "by a command that this store never gave" in found.reason
                assert controller.driver.conflicts.at("site1") == {"acme": one.accounts["acme"]}
            assert [c.account_id for c in one.commands[sent:]] == ["globex"]
            assert one.status().sent == two.status().sent == {**ON_THE_AIR, GLOBEX: (64500,)}

    play(scenario, folder)


def test_a_site_that_comes_back_late_is_recognised_before_it_is_given_anything(
    folder: Path,
) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        older = await on_off_copy_on(db, one, two)
        await two.down()
        async with controlling(older, one, two) as controller:
            for _ in range(3):  # more commands than the site was given since the copy
                added = controller.submit(onboard("globex", GLOBEX))
                await controller.until(added, lambda r: at(r, "site1") == "confirmed")
            await two.up()
            assert (await controller.over(added)).state == "done"
            assert controller.driver.conflicts.at("site2") == {"acme": two.accounts["acme"]}
            assert two.status().sent == {**ON_THE_AIR, GLOBEX: (64500,)}

    play(scenario, folder)


def test_what_waited_in_the_copy_is_not_done_again(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        older, off = db.with_name("older.db"), toggle("acme", ACME, False)
        async with controlling(db, one, two) as controller:
            await controller.over(controller.submit(onboard("acme", ACME)))
        store = open_store(a_store(db))
        with store.write() as session:
            outbox.append(session, off)
        store.close()
        stores.copy(db, older)
        async with controlling(db, one, two) as controller:
            await controller.over(off.id)
            await controller.over(controller.submit(toggle("acme", ACME, True)))
        async with controlling(older, one, two) as controller:
            found = await controller.over(off.id)
            assert found.state == "failed"
            assert "may have been done and overtaken since" in found.reason
            assert one.status().sent == two.status().sent == ON_THE_AIR

    play(scenario, folder)


def test_a_conflict_ends_when_site_and_store_agree(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        older = await on_off_copy_on(db, one, two)
        async with controlling(older, one, two) as controller:
            await controller.over(controller.submit(toggle("acme", ACME, True)))
            target = controller.driver.targets("site1")["acme"].hash
            one.accounts["acme"], two.accounts["acme"] = target, target  # a person put it right at the sites
            one.touch()
            two.touch()
            await controller.over(controller.submit(onboard("globex", GLOBEX)))
            assert controller.driver.conflicts.at("site1") == controller.driver.conflicts.at("site2") == {}
        store = open_store(a_store(older))
        with store.read() as session:
            assert records.conflicts(session) == []
        store.close()

    play(scenario, folder)


def test_a_store_that_goes_back_under_a_running_controller_is_noticed(folder: Path) -> None:
    store = open_store(a_store(folder / "herald.db"))
    with store.write() as session:
        records.reserve_generations(session, "site1", 0, 5)
    with (
        pytest.raises(StoreReplacedError, match="given 5 commands, and it was given 9"),
        store.write() as session,
    ):
        records.reserve_generations(session, "site1", 0, 1, given=9)
    store.close()
