"""A task of the roll-out that ends is told with its error, and started again."""

from __future__ import annotations

import asyncio
from typing import NoReturn

import pytest
import structlog

from controller.rollout.supervise import keep_running


def test_what_ends_a_task_is_told_and_the_task_starts_again() -> None:
    starts: list[int] = []
    ended: list[str] = []

    third = asyncio.Event()

    async def fragile() -> NoReturn:
        starts.append(1)
        if len(starts) < 3:
            raise ZeroDivisionError("of all things")
        third.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("in order")
        raise AssertionError("it waits for ever")

    async def scenario() -> None:
        keeper = asyncio.create_task(keep_running("fragile", fragile))
        async with asyncio.timeout(10):
            await third.wait()
        keeper.cancel()
        with pytest.raises(asyncio.CancelledError):
            await keeper

    with structlog.testing.capture_logs() as logs:
        asyncio.run(scenario())
    assert ended == ["in order"]
    assert [(entry["log_level"], entry["task"]) for entry in logs] == [("critical", "fragile")] * 2
    assert all(isinstance(entry["exc_info"], ZeroDivisionError) for entry in logs)
