"""Driver for ExaBGP 5 behind its helper's socket (:mod:`controller.speakers.exabgp_pipe`).

One command is in flight at a time: ExaBGP answers without ids, and runs some commands later than others.
``done`` means "in its RIB"; whether a neighbour has the route is for others to look at.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from controller.bgp import Prefix, Route
from controller.observe.rib import RibRow
from controller.speakers.exabgp_pipe import GREETING
from controller.speakers.exabgp_text import SHOW_RIB, Batch, SentRow, batches, canonical, parse_row
from controller.speakers.protocol import SpeakerDownError, SpeakerRefusedError

ANSWER_DEADLINE_S = 15.0
"""Seconds without a line from ExaBGP, with a command in flight, after which it counts as gone."""

LINE_LIMIT = 1 << 20


class ExabgpSpeaker:
    """An ExaBGP, reached through its helper's unix socket; implements ``speakers.protocol.Speaker``."""

    name = "exabgp"

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._link: _Link | None = None
        self._has: dict[Prefix, Route | None] = {}
        self._turn = asyncio.Lock()

    async def attach(self) -> frozenset[Route]:
        """Connect and read back what ExaBGP announces (see the protocol)."""
        await self.close()
        link = await _Link.open(self._socket)
        try:
            _expect_version_5(await link.ask("version"), self._socket)
            rows = await self._rows(link)
        except BaseException:
            await link.close()
            raise
        self._link = link
        self._has, announced = _merge(rows)
        return announced

    async def set(self, routes: frozenset[Route]) -> None:
        """Announce exactly ``routes`` (see the protocol); announcements go before withdrawals."""
        wanted = {r.prefix: canonical(r) for r in routes}
        refused: list[Prefix] = []
        async with self._turn:
            link = self._attached()
            fresh = [r for p, r in wanted.items() if p not in self._has or self._has[p] != r]
            gone = [Route(p, ()) for p in self._has if p not in wanted]
            work = deque(batches(fresh, withdraw=False) + batches(gone, withdraw=True))
            while work:
                batch = work.popleft()
                if await self._send(link, batch):
                    continue
                if len(batch.routes) > 1:
                    work.extendleft(reversed(batch.halves()))
                else:
                    refused.append(batch.routes[0].prefix)
        if refused:
            named = ", ".join(refused[:5]) + (f" and {len(refused) - 5} more" if len(refused) > 5 else "")
            raise SpeakerRefusedError(f"ExaBGP refused {named}: see its log for why", frozenset(refused))

    async def _send(self, link: _Link, batch: Batch) -> bool:
        """Send one line; tell whether it was taken, and remember what ExaBGP has now."""
        try:
            await link.ask(batch.line())
        except _RefusedLineError:
            return False
        for route in batch.routes:
            if batch.withdraw:
                self._has.pop(route.prefix, None)
            else:
                self._has[route.prefix] = route
        return True

    async def adj_rib_out(self) -> list[RibRow]:
        """Return ExaBGP's Adj-RIB-Out, a row a neighbour and prefix (see the protocol)."""
        async with self._turn:
            rows = await self._rows(self._attached())
        return [
            RibRow(
                node="",
                daemon="exabgp",
                prefix=row.prefix,
                best=True,
                as_path=row.as_path,
                next_hop=row.next_hop,
                communities=row.communities,
                from_=row.neighbour,
            )
            for row in rows
        ]

    async def lost(self) -> None:
        """Return when the helper closed the connection (ExaBGP ended, say)."""
        if self._link is not None:
            await self._link.ended.wait()

    async def close(self) -> None:
        """Let go of ExaBGP; it keeps announcing."""
        link, self._link = self._link, None
        self._has = {}
        if link is not None:
            await link.close()

    def _attached(self) -> _Link:
        if self._link is None or self._link.ended.is_set():
            raise SpeakerDownError(f"not attached to ExaBGP at {self._socket}: attach first")
        return self._link

    async def _rows(self, link: _Link) -> list[SentRow]:
        return [row for line in await link.ask(SHOW_RIB) if (row := parse_row(line)) is not None]


def _expect_version_5(answer: list[str], socket: str) -> None:
    if not answer or not answer[0].startswith("exabgp 5."):
        found = answer[0] if answer else "nothing"
        raise SpeakerDownError(f"ExaBGP 5 is expected behind {socket}, and it says {found!r}")


def _expect_greeting(line: str, socket: str) -> None:
    if line.encode() + b"\n" != GREETING:
        raise SpeakerDownError(f"{socket} is not ExaBGP's helper: it says {line!r}")


def _merge(rows: list[SentRow]) -> tuple[dict[Prefix, Route | None], frozenset[Route]]:
    """Return what ExaBGP has by prefix, and as routes.

    A prefix that some neighbour of its family lacks, or has with other attributes, maps to None: the next
    ``set`` sends it again (a neighbour that has it already is sent nothing then).
    """
    neighbours: dict[bool, set[str]] = {True: set(), False: set()}
    found: dict[Prefix, dict[str, Route]] = {}
    for row in rows:
        path = tuple(asn for asn in row.as_path if isinstance(asn, int))
        neighbours[":" in row.prefix].add(row.neighbour)
        found.setdefault(row.prefix, {})[row.neighbour] = Route(row.prefix, path, row.communities)
    has: dict[Prefix, Route | None] = {}
    for prefix, by_neighbour in found.items():
        same = len(set(by_neighbour.values())) == 1 and by_neighbour.keys() == neighbours[":" in prefix]
        has[prefix] = next(iter(by_neighbour.values())) if same else None
    return has, frozenset(next(iter(routes.values())) for routes in found.values())


class _RefusedLineError(Exception):
    """ExaBGP answered ``error``."""


class _Link:
    """A connection to the helper: commands out, lines in."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, socket: str) -> None:
        self.ended = asyncio.Event()
        self._reader = reader
        self._writer = writer
        self._socket = socket
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._reading = asyncio.create_task(self._read(), name="exabgp-lines")

    @classmethod
    async def open(cls, socket: str) -> _Link:
        """Connect and wait for the greeting; raises :class:`SpeakerDownError`."""
        try:
            reader, writer = await asyncio.open_unix_connection(socket, limit=LINE_LIMIT)
        except OSError as error:
            raise SpeakerDownError(f"no ExaBGP helper listens at {socket}: {error.strerror}") from error
        link = cls(reader, writer, socket)
        try:
            _expect_greeting(await link._line(), socket)
        except BaseException:
            await link.close()
            raise
        return link

    async def ask(self, command: str) -> list[str]:
        """Send one command and return the lines of its answer.

        Raises :class:`_RefusedLineError` for ``error``; :class:`SpeakerDownError` when the helper or ExaBGP
        is gone. After a cancellation in the middle the link is closed: its answers could not be told apart.
        """
        answer: list[str] = []
        finished = False
        try:
            self._writer.write(command.encode() + b"\n")
            await self._writer.drain()
            while (line := await self._line()) != "done":
                if line == "error":
                    finished = True
                    raise _RefusedLineError
                answer.append(line)
            finished = True
        except ConnectionError as error:
            raise SpeakerDownError(f"ExaBGP's helper at {self._socket} is gone: {error}") from error
        finally:
            if not finished:
                self._hang_up()
        return answer

    async def _line(self) -> str:
        try:
            async with asyncio.timeout(ANSWER_DEADLINE_S):  # wait_for may swallow a cancellation
                line = await self._lines.get()
        except TimeoutError as error:
            message = f"ExaBGP behind {self._socket} has not answered for {ANSWER_DEADLINE_S:.0f} s"
            raise SpeakerDownError(message) from error
        if line is None:
            raise SpeakerDownError(f"ExaBGP's helper at {self._socket} closed the connection")
        return line

    async def _read(self) -> None:
        try:
            while line := await self._reader.readline():
                self._lines.put_nowait(line.decode("utf-8", "replace").rstrip("\n"))
        except (ConnectionError, ValueError):
            pass  # the end of it either way; a line over the limit is not ExaBGP's
        finally:
            self.ended.set()
            self._lines.put_nowait(None)

    def _hang_up(self) -> None:
        self._writer.close()
        self.ended.set()

    async def close(self) -> None:
        self._hang_up()
        self._reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reading
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()
