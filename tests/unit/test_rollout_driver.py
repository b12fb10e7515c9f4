"""The driver against agent-shaped HTTP servers: order, faults, conflicts, and going on after a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.bgp import Prefix
from controller.rollout import admission, records
from controller.rollout.driver import Driver
from controller.snapshots import outbox
from controller.snapshots.model import decode_chunk
from controller.snapshots.tables import ChunkRow
from controller.store import open_store
from controller.transport.http import HttpSiteLink
from tests.driving import ACME, GLOBEX, Controller, at, controlling, living, onboard, play, toggle
from tests.fake_agent import FakeAgent
from tests.guarding import unguarded
from tests.stores import a_store

pytestmark = pytest.mark.stores


def test_a_change_set_reaches_every_site_and_is_done(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        async with controlling(db, one, two) as controller:
            found = await controller.over(controller.submit(onboard("acme", ACME)))
            assert (found.state, found.reason) == ("done", "")
            assert {s: r.state for s, r in found.sites.items()} == {
                "site1": "confirmed",
                "site2": "confirmed",
            }
            assert one.status().sent == two.status().sent == {ACME: (64500,)}

    play(scenario, folder)


def test_an_equal_change_sends_nothing(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        async with controlling(db, one, two) as controller:
            await controller.over(controller.submit(onboard("acme", ACME)))
            found = await controller.over(controller.submit(toggle("acme", ACME, True)))
            assert found.state == "done"
            assert len(one.commands) == len(two.commands) == 1

    play(scenario, folder)


def test_a_change_that_does_not_fit_fails_alone_and_says_why(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        async with controlling(db, one, two) as controller:
            bad = await controller.over(controller.submit(toggle("acme", ACME, True)))
            assert bad.state == "failed"
            assert "stands on prefix acme-p, which is not there" in bad.reason
            assert (await controller.over(controller.submit(onboard("acme", ACME)))).state == "done"

    play(scenario, folder)


def test_a_site_that_is_away_blocks_nobody_and_gets_only_the_latest(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        await two.down()
        async with controlling(db, one, two) as controller:
            first = controller.submit(onboard("acme", ACME))
            found = await controller.until(
                first, lambda r: (at(r, "site1"), at(r, "site2")) == ("confirmed", "unreachable")
            )
            assert found.state == "rolling"
            assert "agent of site2 cannot be reached" in found.reason
            second = controller.submit(toggle("acme", ACME, False))
            other = controller.submit(onboard("globex", GLOBEX))
            await controller.until(second, lambda r: at(r, "site1") == "confirmed")
            await controller.until(other, lambda r: at(r, "site1") == "confirmed")
            await two.up()
            for change_set in (first, second, other):
                assert (await controller.over(change_set)).state == "done"
            assert [c.account_id for c in two.commands] == ["acme", "globex"], "coalesced"
            assert controller.report(first).sites["site2"].state == "superseded"
            assert two.status().sent == {GLOBEX: (64500,)}

    play(scenario, folder)


def test_a_site_that_waits_says_why_until_it_need_not(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        one.waiting[ACME] = "0 of 2 machines hold its bindings"
        async with controlling(db, one, two) as controller:
            held = controller.submit(onboard("acme", ACME))
            found = await controller.until(held, lambda r: "machines" in r.reason)
            assert found.state == "rolling"
            assert found.sites["site1"].state == "waiting"
            assert found.sites["site1"].reason == f"{ACME}: 0 of 2 machines hold its bindings"
            one.waiting.clear()
            one.touch()
            assert (await controller.over(held)).state == "done"

    play(scenario, folder)


def test_an_account_that_waits_does_not_hold_up_anothers_routes(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        async with controlling(db, one, two) as controller:
            await controller.over(controller.submit(onboard("globex", GLOBEX)))
            one.waiting[ACME] = "0 of 2 machines hold its bindings"
            held = controller.submit(onboard("acme", ACME))
            await controller.until(held, lambda r: "machines" in r.reason)
            toggled = await controller.over(controller.submit(toggle("globex", GLOBEX, False)))
            assert toggled.state == "done"
            assert controller.report(held).state == "rolling"

    play(scenario, folder)


def test_a_lost_receipt_is_not_sent_twice(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        one.loses_receipts = True
        async with controlling(db, one, two) as controller:
            assert (await controller.over(controller.submit(onboard("acme", ACME)))).state == "done"
            assert len(one.commands) == 1

    play(scenario, folder)


def test_a_change_back_is_not_done_while_the_change_before_is_on_its_way(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        async with controlling(db, one, two) as controller:
            await controller.over(controller.submit(onboard("acme", ACME)))
            one.asked.clear()
            one.may_decide.clear()
            away = controller.submit(toggle("acme", ACME, False))
            await one.asked.wait()
            back = controller.submit(toggle("acme", ACME, True))
            found = await controller.until(back, lambda r: at(r, "site2") == "confirmed")
            assert at(found, "site1") == "pending", "the site has it now, and will not in a moment"
            one.may_decide.set()
            for change_set in (away, back):
                assert (await controller.over(change_set)).state == "done"
            assert len(one.commands) == 3
            assert one.status().sent == {ACME: (64500,)}

    play(scenario, folder)


def test_a_status_from_before_a_receipt_is_not_believed(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        async with controlling(db, one) as controller:
            await controller.over(controller.submit(onboard("globex", GLOBEX)))
            one.may_tell.clear()
            one.touch()  # the poll that hangs gets a status of now, which arrives late
            change_set = controller.submit(onboard("acme", ACME))
            await controller.until(change_set, lambda r: at(r, "site1") == "delivered")
            one.may_tell.set()
            assert (await controller.over(change_set)).state == "done"
            assert len(one.commands) == 2

    play(scenario, folder)


def test_a_generation_is_never_given_twice(folder: Path) -> None:
    store = open_store(a_store(folder / "herald.db"))
    with store.write() as session:
        assert records.reserve_generations(session, "site1", 0, 4) == range(1, 5)
    with store.write() as session:
        assert records.reserve_generations(session, "site1", 2, 2) == range(5, 7)
        assert records.reserve_generations(session, "site1", 90, 2) == range(91, 93)
        assert records.reserve_generations(session, "site2", 0, 1) == range(1, 2)
    store.close()


def test_a_refusal_fails_with_the_agents_reason(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        one.refuses = "outside the envelope"
        async with controlling(db, one, two) as controller:
            found = await controller.over(controller.submit(onboard("acme", ACME)))
            assert (found.state, found.sites["site1"].state) == ("failed", "refused")
            assert "outside the envelope" in found.reason
            assert len(one.commands) == 1, "it is not asked again"

    play(scenario, folder)


def test_an_empty_database_sends_nothing_and_touches_nothing(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        async with controlling(db, one, two) as controller:
            await controller.over(controller.submit(onboard("acme", ACME)))
        async with controlling(db.with_name("new.db"), one, two) as controller:
            reloaded = await controller.over(controller.submit(onboard("acme", ACME, advertised=False)))
            assert reloaded.state == "failed"
            assert "conflict: the site holds chunk" in reloaded.reason
            other = await controller.over(controller.submit(onboard("globex", GLOBEX)))
            assert other.state == "done", "an account without a conflict goes on"
            assert [c.account_id for c in one.commands] == ["acme", "globex"]
            assert one.status().sent == {ACME: (64500,), GLOBEX: (64500,)}

    play(scenario, folder)


def test_a_conflict_at_one_site_fails_there_and_leaves_it_alone(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        async with controlling(db, one) as controller:
            await controller.over(controller.submit(onboard("acme", ACME)))
        async with controlling(db.with_name("new.db"), one, two) as controller:
            found = await controller.over(controller.submit(onboard("acme", ACME, advertised=False)))
            assert (found.state, found.sites["site1"].state) == ("failed", "conflict")
            await controller.until(found.id, lambda r: at(r, "site2") == "confirmed")
            assert len(one.commands) == 1
            assert one.status().sent == {ACME: (64500,)}

    play(scenario, folder)


def test_what_was_accepted_and_not_begun_goes_on_after_a_restart(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        store = open_store(a_store(db))
        queued = onboard("acme", ACME)
        with store.write() as session:
            outbox.append(session, queued)
        store.close()
        async with controlling(db, one, two) as controller:
            assert (await controller.over(queued.id)).state == "done"

    play(scenario, folder)


def test_what_was_begun_and_not_delivered_goes_on_after_a_restart(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        store = open_store(a_store(db))
        begun = onboard("acme", ACME)
        with store.write() as session:
            records.join_sites(session, ["site1", "site2"])
            outbox.append(session, begun)
            assert admission.admit_next(session, ["site1", "site2"], lambda _: None, 0.0)[0].tracked
        store.close()
        async with controlling(db, one, two) as controller:
            assert (await controller.over(begun.id)).state == "done"
            assert [len(one.commands), len(two.commands)] == [1, 1]

    play(scenario, folder)


def test_a_restart_in_the_middle_sends_nothing_twice_and_no_older_generation(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        await two.down()
        async with controlling(db, one, two) as controller:
            held = controller.submit(onboard("acme", ACME))
            await controller.until(held, lambda r: at(r, "site1") == "confirmed")
        await two.up()
        async with controlling(db, one, two) as controller:
            assert (await controller.over(held)).state == "done"
            assert [len(one.commands), len(two.commands)] == [1, 1]
            await controller.over(controller.submit(toggle("acme", ACME, False)))
        generations = [c.generation for c in one.commands]
        assert generations == sorted(set(generations))

    play(scenario, folder)


def test_a_new_site_is_brought_to_the_operational_tree(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        async with controlling(db, one) as controller:
            await controller.over(controller.submit(onboard("acme", ACME)))
        async with controlling(db, one, two) as controller:
            found = await controller.over(controller.submit(toggle("acme", ACME, True)))
            assert found.state == "done"
            assert two.status().sent == {ACME: (64500,)}

    play(scenario, folder)


def test_an_agent_that_lost_its_journal_gets_its_state_back_once_it_is_released(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        async with controlling(db, one, two) as controller:
            await controller.over(controller.submit(onboard("acme", ACME)))
            await one.down()
            had, sent = one.generation, len(one.commands)
            one.accounts.clear()
            one.chunks.clear()
            one.generation = 0
            await one.up()
            toggled = controller.submit(toggle("acme", ACME, True))
            await controller.until(toggled, lambda r: at(r, "site1") == "unreachable")
            assert len(one.commands) == sent
            one.fault, one.resumed_from = "", ("e1", had)
            one.touch()
            assert (await controller.over(toggled)).state == "done"
            assert one.status().sent == {ACME: (64500,)}

    play(scenario, folder)


def test_a_quarantined_agent_is_given_nothing_until_it_is_well(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        one.fault = "the journal is damaged"
        async with controlling(db, one, two) as controller:
            held = controller.submit(onboard("acme", ACME))
            found = await controller.until(held, lambda r: at(r, "site1") == "unreachable")
            assert "quarantined: the journal is damaged" in found.reason
            assert one.commands == []
            one.fault = ""
            one.touch()
            assert (await controller.over(held)).state == "done"

    play(scenario, folder)


def test_an_agent_of_another_site_is_given_nothing(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        two.site = "site9"
        store = open_store(a_store(db))
        sockets = {"site1": str(one.socket), "site2": str(two.socket)}
        links = {site: HttpSiteLink(site, socket) for site, socket in sockets.items()}
        controller = Controller(store, Driver(store, links, guard=unguarded()))
        async with living(controller.driver):
            held = controller.submit(onboard("acme", ACME))
            found = await controller.until(held, lambda r: "says that it is site9" in r.reason)
        store.close()
        assert found.state == "rolling"
        assert two.commands == []

    play(scenario, folder)


def test_a_damaged_chunk_is_found_by_its_hash_and_not_sent(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        store = open_store(a_store(db))
        begun = onboard("acme", ACME)
        with store.write() as session:
            records.join_sites(session, ["site1", "site2"])
            outbox.append(session, begun)
            admission.admit_next(session, ["site1", "site2"], lambda _: None, 0.0)
            for row in session.query(ChunkRow):
                row.body = row.body.replace(b"192.0.2.0", b"192.0.3.0")
        store.close()
        async with controlling(db, one, two) as controller:
            found = await controller.over(begun.id)
            assert found.state == "failed"
            assert "is damaged in the database" in found.reason
            assert one.commands == two.commands == []

    play(scenario, folder)


def test_many_accounts_go_side_by_side(folder: Path) -> None:
    async def scenario(db: Path, one: FakeAgent, two: FakeAgent) -> None:
        async with controlling(db, one, two) as controller:
            ids = [controller.submit(onboard(f"a{n}", Prefix(f"198.18.{n}.0/24"))) for n in range(40)]
            for id_ in ids:
                assert (await controller.over(id_)).state == "done"
            assert len(one.status().sent) == 40
            for command in one.commands:
                assert command.chunk is not None and command.to_hash is not None
                assert decode_chunk(command.chunk, command.to_hash).account_id == command.account_id

    play(scenario, folder)
