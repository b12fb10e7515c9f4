"""Of several controllers on one store one leads; agents refuse a fence that is lower than they heard of."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.agent.commands import confirm, decide
from controller.agent.journal_records import JournalState, Opened
from controller.rollout import lease
from controller.rollout.errors import NotLeadingError
from controller.rollout.leading import Leading
from controller.rollout.lease import LEASE_S
from controller.snapshots.model import Chunk, encode_chunk, hash_chunk
from controller.store import open_store
from controller.transport.messages import Command, Confirmation
from tests.stores import a_store

pytestmark = pytest.mark.stores

NOON = datetime(2026, 2, 20, 12, tzinfo=UTC)


def test_the_token_rises_with_each_leader_and_a_late_one_is_told(tmp_path: Path) -> None:
    store = open_store(a_store(tmp_path / "herald.db"))
    later = NOON + timedelta(seconds=LEASE_S)
    with store.write() as session:
        assert lease.take(session, "one", NOON).fence == 1
        assert lease.take(session, "two", NOON).fence is None
        assert lease.take(session, "one", NOON).fence == 2, "the same name again: its process was restarted"
        assert lease.renew(session, "one", 1, NOON).fence is None
        assert lease.renew(session, "one", 2, NOON).fence == 2
        assert lease.take(session, "two", later - timedelta(seconds=1)).fence is None
        assert lease.take(session, "two", later).fence == 3
        assert lease.renew(session, "one", 2, later).fence is None, "it was stopped, and comes back late"
        assert lease.renew(session, "two", 3, later, above=9).fence == 10, "an older copy was restored"
        lease.give_up(session, "one", 2, later)
        assert lease.take(session, "one", later).fence is None
        lease.give_up(session, "two", 10, later)
        assert lease.take(session, "one", later).fence == 11
    store.close()


def test_a_second_one_stands_by_and_leads_once_the_first_is_gone(tmp_path: Path) -> None:
    store = open_store(a_store(tmp_path / "herald.db"))
    for name in ("a", "b"):
        (tmp_path / name).mkdir()

    async def play() -> None:
        first = Leading(store, tmp_path / "a", look_s=0.01)
        await first.wait_to_lead()
        second, third = (
            Leading(store, tmp_path / "b", look_s=0.01),
            Leading(store, tmp_path / "a", look_s=0.01),
        )
        waiting = [asyncio.create_task(one.wait_to_lead()) for one in (second, third)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert (second.fence, third.fence) == (0, 0), "they stand by"
        first.close()
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        assert sorted((second.fence, third.fence)) == [0, 2]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for one in (second, third):
            one.close()

    asyncio.run(play())
    store.close()


def test_whoever_lost_the_lease_ends(tmp_path: Path) -> None:
    store = open_store(a_store(tmp_path / "herald.db"))

    async def play() -> None:
        leading = Leading(store, tmp_path, look_s=0.001)
        await leading.wait_to_lead()
        with store.write() as session:
            assert lease.take(session, "another", datetime.now(UTC) + timedelta(seconds=60)).fence == 2
        told: list[int] = []
        with pytest.raises(NotLeadingError, match="another"):
            await leading.keep(lambda: 5, told.append)
        assert told == []

    asyncio.run(play())
    store.close()


@given(st.lists(st.integers(0, 5), max_size=30))
def test_an_agent_obeys_no_fence_below_the_highest(fences: list[int]) -> None:
    state = JournalState()
    state.apply(Opened("s1", "life"))
    highest = 0
    for generation, fence in enumerate(fences, 1):
        data = encode_chunk(Chunk("acc"))
        name = hash_chunk(data)
        command = Command("s1", generation, "r", "acc", state.hash_of("acc"), name, data, fence=fence)
        decision = decide(command, state, {})
        assert decision.receipt.outcome == ("stale" if fence < highest else "accepted")
        receipt, _ = confirm(Confirmation("s1", "acc", generation, fence), state)
        assert (receipt.outcome == "stale" and "fence" in receipt.reason) == (fence < highest)
        if decision.record is not None:
            state.apply(decision.record)
        highest = max(highest, fence)
