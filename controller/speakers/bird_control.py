"""BIRD 2's control socket, asynchronously: one question at a time, each answered whole."""

from __future__ import annotations

import asyncio
import contextlib

from controller.observe.readers.bird_reply import Reply, complete, read_reply
from controller.observe.readers.errors import ReaderError
from controller.observe.readers.source import Source
from controller.speakers.protocol import SpeakerDownError

ANSWER_DEADLINE_S = 30.0
"""Seconds without a byte of an answer after which BIRD counts as gone; a million routes take it a few."""

SOURCE = Source("", "bird")


class BirdControl:
    """A connection to BIRD's control socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, socket: str) -> None:
        self._reader = reader
        self._writer = writer
        self._socket = socket

    @classmethod
    async def open(cls, socket: str) -> BirdControl:
        """Connect and read the greeting; raises :class:`SpeakerDownError`."""
        try:
            reader, writer = await asyncio.open_unix_connection(socket)
        except OSError as error:
            raise SpeakerDownError(f"no BIRD listens at {socket}: {error.strerror}") from error
        control = cls(reader, writer, socket)
        try:
            _expect_version_2(await control._answer(), socket)
        except BaseException:
            await control.close()
            raise
        return control

    async def ask(self, question: str) -> Reply:
        """Return BIRD's answer, an error of its own included (codes 8000 and above).

        Raises :class:`SpeakerDownError`. After a cancellation in the middle the connection is closed: the
        next answer would be taken for another question's.
        """
        answered = False
        try:
            self._writer.write(question.encode() + b"\n")
            await self._writer.drain()
            reply = await self._answer()
            answered = True
        except ConnectionError as error:
            raise SpeakerDownError(f"BIRD at {self._socket} is gone: {error}") from error
        finally:
            if not answered:
                self._writer.close()
        return reply

    async def ended(self) -> None:
        """Return when BIRD closes the connection; nothing may be asked on one that is watched like this."""
        with contextlib.suppress(ConnectionError):
            while await self._reader.read(4096):
                pass

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _answer(self) -> Reply:
        raw = bytearray()
        while not complete(raw):
            try:
                async with asyncio.timeout(ANSWER_DEADLINE_S):
                    part = await self._reader.read(1 << 18)
            except TimeoutError as error:
                message = f"BIRD at {self._socket} has not answered for {ANSWER_DEADLINE_S:.0f} s"
                raise SpeakerDownError(message) from error
            except ConnectionError as error:
                raise SpeakerDownError(f"BIRD at {self._socket} is gone: {error}") from error
            if not part:
                raise SpeakerDownError(f"BIRD at {self._socket} closed the connection")
            raw += part
        try:
            return read_reply(SOURCE, bytes(raw))
        except ReaderError as error:
            raise SpeakerDownError(f"BIRD at {self._socket} cannot be understood: {error}") from error


def _expect_version_2(greeting: Reply, socket: str) -> None:
    if not greeting.said.startswith("BIRD 2."):
        raise SpeakerDownError(f"BIRD 2 is expected at {socket}, and it says {greeting.said!r}")
