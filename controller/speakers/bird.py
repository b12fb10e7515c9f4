"""Driver for BIRD 2: a generated configuration, one ``configure`` a batch, confirmed once it is seen to be.

For sites with very many prefixes: thousands of routes cost BIRD milliseconds. Each write is the whole
configuration (:mod:`controller.speakers.bird_config`); BIRD sends neighbours only what differs. It is told to
go back by itself (``configure timeout``) unless it is told in time that what it then has is what was meant.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from controller.bgp import Prefix, Route, family_of
from controller.observe.readers.bird_reply import read_given, read_protocols
from controller.observe.readers.errors import ReaderError
from controller.observe.rib import RibRow
from controller.speakers.bird_config import PROTOCOLS, by_prefix, render, sound
from controller.speakers.bird_control import SOURCE, BirdControl
from controller.speakers.protocol import SpeakerDownError, SpeakerRefusedError

UNDO_AFTER_S = 60
"""Seconds after which BIRD takes back a configuration that nobody confirmed."""

LOOK_S = 1.0
"""Seconds between looks at whether somebody else has configured BIRD."""

_RECONFIGURED, _IN_PROGRESS, _QUEUED = 3, 4, 5
_ERRORS = 8000
_PROTOCOL = 1002


class BirdSpeaker:
    """A BIRD; implements ``speakers.protocol.Speaker``.

    ``socket`` and ``config_file`` are paths as we see them; ``config_path`` is the latter as BIRD sees it,
    and ``boot_config`` what BIRD was started with, as BIRD sees it.
    """

    name = "bird"

    def __init__(
        self, socket: str, *, config_file: Path, config_path: str, boot_config: str, local_as: int
    ) -> None:
        self._socket = socket
        self._config_file = config_file
        self._config_path = config_path
        self._boot_config = boot_config
        self._local_as = local_as
        self._control: BirdControl | None = None
        self._watch: BirdControl | None = None
        self._has: dict[Prefix, Route] = {}
        self._configured_at = ""
        self._turn = asyncio.Lock()

    async def attach(self) -> frozenset[Route]:
        """Connect and read back Herald's routes (see the protocol).

        What an earlier driver configured and did not live to confirm is confirmed: it is read back, too, and
        must not change behind our back a minute later.
        """
        await self.close()
        control = await BirdControl.open(self._socket)
        try:
            watch = await BirdControl.open(self._socket)
            try:
                await _in_effect(control)
                await control.ask("configure confirm")
                self._has = await self._read_back(control)
                self._configured_at = await _configured_at(control)
            except BaseException:
                await watch.close()
                raise
        except BaseException:
            await control.close()
            raise
        self._control, self._watch = control, watch
        return frozenset(self._has.values())

    async def set(self, routes: frozenset[Route]) -> None:
        """Announce exactly ``routes`` (see the protocol), by one ``configure``."""
        async with self._turn:
            control = self._attached()
            wanted = by_prefix(routes)
            refused = {p for p, route in wanted.items() if not sound(route, self._local_as)}
            for prefix in refused:
                del wanted[prefix]
                if prefix in self._has:
                    wanted[prefix] = self._has[prefix]
            if wanted != self._has:
                await self._configure(control, wanted)
        if refused:
            raise SpeakerRefusedError(
                f"BIRD was not given {_some(refused)}: prefix, path or a community is malformed",
                frozenset(refused),
            )

    async def adj_rib_out(self) -> list[RibRow]:
        """Return what BIRD exports to each established neighbour (see the protocol)."""
        async with self._turn:
            control = self._attached()
            rows: list[RibRow] = []
            for name, neighbour, own in await _established(control):
                reply = await control.ask(f"show route export {name} all")
                if reply.code >= _ERRORS:
                    raise SpeakerDownError(f"BIRD does not say what it exports to {name}: {reply.said}")
                try:
                    given = read_given(SOURCE, reply)
                except ReaderError as error:
                    raise SpeakerDownError(f"BIRD at {self._socket}: {error}") from error
                rows += [
                    RibRow(
                        node="",
                        daemon="bird",
                        prefix=row.prefix,
                        best=True,
                        as_path=(self._local_as, *row.as_path),
                        next_hop=own,
                        communities=row.communities,
                        from_=neighbour,
                    )
                    for row in given
                ]
        return rows

    async def lost(self) -> None:
        """Return when BIRD is gone, or somebody else has configured it (our routes may be gone with that)."""
        watch = self._watch
        if watch is None:
            return
        ended = asyncio.ensure_future(watch.ended())
        try:
            while True:
                done, _ = await asyncio.wait({ended}, timeout=LOOK_S)
                if done or await self._somebody_configured():
                    return
        finally:
            ended.cancel()

    async def close(self) -> None:
        """Let go of BIRD; it keeps announcing."""
        links = [link for link in (self._control, self._watch) if link is not None]
        self._control = self._watch = None
        self._has = {}
        for link in links:
            await link.close()

    def _attached(self) -> BirdControl:
        if self._control is None:
            raise SpeakerDownError(f"not attached to BIRD at {self._socket}: attach first")
        return self._control

    async def _configure(self, control: BirdControl, wanted: dict[Prefix, Route]) -> None:
        """Make BIRD have exactly ``wanted``, or have it as it was and raise."""
        changed = frozenset(p for p in wanted.keys() | self._has.keys() if wanted.get(p) != self._has.get(p))
        await asyncio.to_thread(self._write, render(self._boot_config, wanted.values()))
        reply = await control.ask(f'configure soft "{self._config_path}" timeout {UNDO_AFTER_S}')
        if reply.code not in (_RECONFIGURED, _IN_PROGRESS, _QUEUED):
            raise SpeakerRefusedError(
                f"BIRD does not take the configuration with {_some(changed)}: {reply.said}", changed
            )
        await _in_effect(control)
        if await _counts(control) != _expected_counts(wanted):
            await control.ask("configure undo")
            await _in_effect(control)
            self._has = await self._read_back(control)
            self._configured_at = await _configured_at(control)
            raise SpeakerRefusedError(
                f"BIRD took the configuration with {_some(changed)} and has another number of routes than it "
                "says: taken back",
                changed,
            )
        await control.ask("configure confirm")
        self._has = wanted
        self._configured_at = await _configured_at(control)

    def _write(self, text: str) -> None:
        """Replace the file whole, so that BIRD never reads half of it."""
        fresh = self._config_file.with_name(self._config_file.name + ".new")
        try:
            with fresh.open("w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._config_file)
        except OSError as error:
            raise SpeakerDownError(
                f"cannot write BIRD's configuration {self._config_file}: {error.strerror}"
            ) from error

    async def _read_back(self, control: BirdControl) -> dict[Prefix, Route]:
        """Return the routes of our two protocols; empty where BIRD has none of that name yet."""
        there = {line.split()[0] for _, line in (await control.ask("show protocols")).lines if line.split()}
        found: list[Route] = []
        for name in PROTOCOLS.values():
            if name not in there:
                continue
            reply = await control.ask(f"show route protocol {name} all")
            if reply.code >= _ERRORS:
                raise SpeakerDownError(f"BIRD does not say what {name} has: {reply.said}")
            try:
                rows = read_given(SOURCE, reply)
            except ReaderError as error:
                raise SpeakerDownError(f"BIRD at {self._socket}: {error}") from error
            found += [
                Route(
                    row.prefix,
                    (self._local_as, *(a for a in row.as_path if isinstance(a, int))),
                    row.communities,
                )
                for row in rows
            ]
        return by_prefix(found)

    async def _somebody_configured(self) -> bool:
        async with self._turn:
            if self._control is None:
                return True
            try:
                return await _configured_at(self._control) != self._configured_at
            except SpeakerDownError:
                return True


async def _counts(control: BirdControl) -> dict[str, int]:
    """Return how many routes our protocols have, by name; those that have none are left out."""
    found: dict[str, int] = {}
    for name in PROTOCOLS.values():
        reply = await control.ask(f"show route protocol {name} count")
        said = [*(text for _, text in reply.lines), reply.said]
        numbers = [int(m[1]) for text in said if (m := re.match(r"(\d+) of \d+ routes", text))]
        if any(numbers):
            found[name] = max(numbers)
    return found


def _expected_counts(wanted: Iterable[Prefix]) -> dict[str, int]:
    return dict(Counter(PROTOCOLS[family_of(prefix)] for prefix in wanted))


async def _established(control: BirdControl) -> list[tuple[str, str, str | None]]:
    """Return the established BGP protocols: name, the neighbour's address, our own (the next hop sent)."""
    reply = await control.ask("show protocols all")
    names: list[str] = []
    own: dict[str, str] = {}
    for code, text in reply.lines:
        words = text.split()
        if code == _PROTOCOL:
            names += [words[0]] if words[1:2] == ["BGP"] else []
        elif words[:2] == ["Source", "address:"] and names and len(words) > 2:
            own[names[-1]] = words[2]
    sessions = read_protocols(SOURCE, reply).sessions
    return [(n, s.neighbour, own.get(n)) for n, s in zip(names, sessions, strict=True) if s.established]


async def _configured_at(control: BirdControl) -> str:
    """Return when BIRD last read a configuration, in its own words."""
    lines = (await control.ask("show status")).lines
    return next((text for _, text in lines if text.startswith("Last reconfiguration")), "")


async def _in_effect(control: BirdControl) -> None:
    """Wait until a reconfiguration that goes on by itself is over."""
    pause = 0.001
    while True:
        reply = await control.ask("show status")
        said = [*(text for _, text in reply.lines), reply.said]
        if not any(text.startswith("Reconfiguration in progress") for text in said):
            return
        await asyncio.sleep(pause)
        pause = min(2 * pause, 0.1)


def _some(prefixes: frozenset[Prefix] | set[Prefix]) -> str:
    first = sorted(prefixes)[:5]  # as text: a malformed one has no other order
    more = len(prefixes) - len(first)
    return ", ".join(first) + (f" and {more} more" if more > 0 else "")
