"""A conversation with a daemon over its unix socket, under one deadline."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from controller.observe.readers.errors import ReaderUnreachableError
from controller.observe.readers.source import Source

_PIECE = 1 << 18


class Conversation:
    """An open unix stream socket; ``deadline_s`` (seconds) bounds the whole conversation.

    All methods raise :class:`ReaderUnreachableError`: nobody there, the stream ended, or too late.
    """

    def __init__(self, source: Source, path: Path, deadline_s: float) -> None:
        self.source = source
        self._path = path
        self._ends = time.monotonic() + deadline_s
        self._deadline_s = deadline_s
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._limit()
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise self._lost(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def ask(self, question: bytes, complete: Callable[[bytearray], bool]) -> bytes:
        """Send ``question`` (may be empty) and return what comes until ``complete`` says that it is all."""
        answer = bytearray()
        try:
            self._limit()
            self._socket.sendall(question)
            while not complete(answer):
                self._limit()
                piece = self._socket.recv(_PIECE)
                if not piece:
                    raise ReaderUnreachableError(
                        f"{self.source.node} ({self.source.daemon}) closed {self._path} in mid-answer: "
                        "look at its log, then try again"
                    )
                answer += piece
        except OSError as error:
            raise self._lost(error) from error
        return bytes(answer)

    def _limit(self) -> None:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)

    def _lost(self, error: OSError) -> ReaderUnreachableError:
        if isinstance(error, TimeoutError):
            why = f"no answer within {self._deadline_s:g} s"
        else:
            why = error.strerror or type(error).__name__
        return ReaderUnreachableError(
            f"{self.source.node} ({self.source.daemon}) cannot be read at {self._path}: {why}; is it running?"
        )
