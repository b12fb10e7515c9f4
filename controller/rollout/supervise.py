"""Keeps tasks that are never to end running, and never swallows what ended one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

import structlog

from controller.rollout.backoff import delay_s

log = structlog.get_logger()


async def keep_running(name: str, start: Callable[[], Coroutine[Any, Any, NoReturn]]) -> NoReturn:
    """Run ``start()`` for ever: what ends it is logged with its traceback, and it is started again.

    The wait in between grows with each failure. Cancelling this cancels the task, and waits for it.
    """
    failures = 0
    while True:
        task = asyncio.create_task(start(), name=name)
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait([task])
            raise
        failures += 1
        error = None if task.cancelled() else task.exception()
        log.critical("a task ended, and is started again", task=name, exc_info=error)
        await asyncio.sleep(delay_s(failures, random.random()))
