"""A site's report, and those who wait for the next one."""

from __future__ import annotations

import asyncio
import contextlib

import msgspec

from controller.transport.messages import SiteStatus


class Report:
    """The current status. Its version rises with each change.

    ``first_version`` should exceed those of earlier lives of the agent, so that whoever waits for "more
    than what I saw" is not left waiting by a restart.
    """

    def __init__(self, status: SiteStatus, first_version: int) -> None:
        self.status = msgspec.structs.replace(status, version=first_version)
        self._changed = asyncio.Event()

    def publish(self, status: SiteStatus) -> None:
        """Take in a status (its version is ignored); wake those who wait if it says anything new."""
        if msgspec.structs.replace(status, version=self.status.version) == self.status:
            return
        self.status = msgspec.structs.replace(status, version=self.status.version + 1)
        self.wake()

    def wake(self) -> None:
        """Let every waiting question be answered."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def after(self, version: int, wait_s: float) -> SiteStatus:
        """Return the status once its version exceeds ``version``, or as it is after ``wait_s`` seconds."""
        if self.status.version <= version and wait_s > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), wait_s)
        return self.status
