"""Follows an RTR cache over TCP (RFC 8210, 9), for ever."""

from __future__ import annotations

import asyncio
import random
from typing import NoReturn

import structlog

from controller.validation.config import endpoint
from controller.validation.feeds import Feed
from controller.validation.rtr_client import Closed, Output, RtrClient, Send, Synced, Timing
from controller.validation.vrps import VrpSet

log = structlog.get_logger()

FIRST_RETRY_S = 0.2
"""Seconds until the first new try; doubled with each, up to the cache's own retry interval."""

READ = 1 << 16


class RtrSession:
    """Keeps ``feed`` as the cache has it."""

    def __init__(self, feed: Feed, timing: Timing) -> None:
        self._feed = feed
        self._host, self._port = endpoint(feed.source)
        self._timing = timing
        self._client = RtrClient(timing)
        self._tries = 0

    async def run(self) -> NoReturn:
        """Connect, follow, and connect again whenever the connection is gone."""
        while True:
            closed = await self._connection()
            self._client.disconnected()
            if closed.at_once:
                continue
            self._feed.troubled(f"{self._feed.source}: {closed.reason}")
            self._tries += 1
            wait = min(self._client.retry_s, FIRST_RETRY_S * 2.0 ** min(self._tries - 1, 16))
            await asyncio.sleep(wait * (1 - random.random() / 2))

    async def _connection(self) -> Closed:
        try:
            async with asyncio.timeout(self._timing.answer_s):
                reader, writer = await asyncio.open_connection(self._host, self._port)
        except (OSError, TimeoutError) as error:
            return Closed(f"cannot connect: {error or 'no answer in time'}")
        try:
            return await self._follow(reader, writer)
        except OSError as error:
            return Closed(f"the connection broke: {error}")
        finally:
            writer.transport.abort()

    async def _follow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Closed:
        loop = asyncio.get_running_loop()
        outputs = self._client.connected(loop.time())
        while True:
            closed = await self._carry_out(outputs, writer)
            if closed is not None:
                return closed
            deadline = self._client.deadline()
            try:
                async with asyncio.timeout_at(deadline):
                    data = await reader.read(READ)
            except TimeoutError:
                outputs = self._client.tick(loop.time())
                continue
            if not data:
                return Closed("the cache closed the connection")
            outputs = self._client.received(data, loop.time())

    async def _carry_out(self, outputs: list[Output], writer: asyncio.StreamWriter) -> Closed | None:
        for output in outputs:
            match output:
                case Send(data):
                    writer.write(data)
                    async with asyncio.timeout(self._timing.answer_s):
                        await writer.drain()
                case Synced():
                    self._tries = 0
                    await self._synced(output)
                case Closed():
                    return output
        return None

    async def _synced(self, output: Synced) -> None:
        """Offer the set; hundreds of thousands of VRPs are sorted beside the event loop."""
        good = self._feed.good
        vrps = await asyncio.to_thread(VrpSet, output.vrps)
        expires_at = self._client.expires_at
        assert expires_at is not None
        taken = self._feed.offer(vrps, max(expires_at - asyncio.get_running_loop().time(), 0.0))
        if taken and good is None:
            log.info("synced with an RTR cache", source=self._feed.source, version=self._client.version)
