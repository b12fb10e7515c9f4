"""Keeps a site's speaker attached, and gives it what the plan wants."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import structlog

from controller.bgp import Prefix, Route
from controller.speakers.protocol import Speaker, SpeakerError, SpeakerRefusedError

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 0.3
"""Short: a speaker that comes back empty makes its neighbours drop what they kept for it (RFC 4724)."""

log = structlog.get_logger()


class SpeakerLink:
    """What the speaker is known to announce, and the one task that talks to it.

    ``announced`` None: not attached. ``in_flight``: what ``set`` was called with and has not acknowledged.
    """

    def __init__(self, speaker: Speaker, changed: Callable[[], None]) -> None:
        self.speaker = speaker
        self.announced: frozenset[Route] | None = None
        self.in_flight: frozenset[Route] = frozenset()
        self.refused: frozenset[Route] = frozenset()
        self._changed = changed
        self._wanted: frozenset[Route] | None = None
        self._work = asyncio.Event()

    @property
    def reach(self) -> frozenset[Prefix] | None:
        """The prefixes that are or may be announced; None while the speaker is not attached."""
        if self.announced is None:
            return None
        return frozenset(r.prefix for r in (*self.announced, *self.in_flight, *(self._wanted or ())))

    def give(self, wanted: frozenset[Route] | None) -> None:
        """Make ``wanted`` what the speaker is to announce; None: nothing is to be done yet."""
        if wanted != self._wanted:
            self._wanted = wanted
            self._work.set()

    async def run(self) -> None:
        """Attach, serve, and attach anew, until cancelled; withdraws nothing when it ends."""
        pause = FIRST_PAUSE_S
        said = ""
        try:
            while True:
                try:
                    self.announced = await self.speaker.attach()
                    log.info("speaker attached", speaker=self.speaker.name, routes=len(self.announced))
                    pause, said = FIRST_PAUSE_S, ""
                    self._changed()
                    await self._serve()
                except SpeakerError as error:
                    if str(error) != said:
                        said = str(error)
                        log.warning("speaker lost", speaker=self.speaker.name, reason=said)
                self.announced, self.in_flight, self.refused = None, frozenset(), frozenset()
                self._wanted = None
                self._changed()
                # Jitter, so that a site's agents do not dial in step after a common failure.
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, LONGEST_PAUSE_S)
        finally:
            await self.speaker.close()

    async def _serve(self) -> None:
        """Give the speaker each new set until it is lost."""
        lost = asyncio.ensure_future(self.speaker.lost())
        try:
            while not lost.done():
                work = asyncio.ensure_future(self._work.wait())
                try:
                    await asyncio.wait({work, lost}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    work.cancel()
                self._work.clear()
                if self._wanted is not None and not lost.done():
                    await self._set(self._wanted)
            lost.result()
        finally:
            lost.cancel()
        log.warning("speaker went away", speaker=self.speaker.name)

    async def _set(self, wanted: frozenset[Route]) -> None:
        before = {r.prefix: r for r in self.announced or ()}
        self.in_flight = wanted
        refused: frozenset[Prefix] = frozenset()
        try:
            await self.speaker.set(wanted)
        except SpeakerRefusedError as error:
            refused = error.prefixes
            log.warning("speaker refused routes", speaker=self.speaker.name, reason=str(error))
        # A refused announcement leaves what was there; so does a refused withdrawal.
        kept = {before[p] for p in refused if p in before}
        self.announced = frozenset({r for r in wanted if r.prefix not in refused} | kept)
        self.refused |= frozenset(
            r for r in wanted if r.prefix in refused
        )  # not tried again until re-attached
        self.in_flight = frozenset()
        self._changed()
