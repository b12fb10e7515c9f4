"""The agent's journal on disk: appended and synced before anything is acknowledged."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path

from controller.agent.errors import AgentRunningError, JournalDamagedError, JournalError
from controller.agent.journal_records import (
    JournalState,
    Opened,
    Record,
    decode_journal,
    encode_record,
    replay,
)

COMPACT_ABOVE = 1 << 20
"""Bytes below which the journal is never compacted."""


class Journal:
    """An open journal; ``state`` is what is on disk. One process at a time holds it."""

    def __init__(self, path: Path, fd: int, state: JournalState, size: int) -> None:
        self.state = state
        self._path = path
        self._fd = fd
        self._size = size
        self._live = 0
        self.appended: Callable[[JournalState], None] = lambda _: None
        """Called after each append, with the state."""

    @classmethod
    def open(cls, folder: Path, site: str) -> Journal:
        """Open (or begin) the journal of ``site`` in ``folder``, and cut off a torn tail.

        Raises :class:`JournalDamagedError`, :class:`AgentRunningError`, or :class:`JournalError`.
        """
        path = folder / "journal"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _lock(folder / "lock")
            data = path.read_bytes() if path.exists() else b""
            records, end = decode_journal(data)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            if end < len(data):
                os.ftruncate(fd, end)
                os.fsync(fd)
        except OSError as error:
            raise JournalError(f"cannot open the journal {path}: {error.strerror}") from error
        journal = cls(path, fd, replay(records), end)
        if records and not isinstance(records[0], Opened):
            raise JournalDamagedError(f"{path} does not begin as a journal does: restore it")
        if not records:
            journal.append(Opened(site, secrets.token_hex(8)))
            _sync_folder(folder)
        elif journal.state.site != site:
            raise JournalDamagedError(
                f"{path} is the journal of site {journal.state.site!r}, not of {site!r}"
            )
        return journal

    @classmethod
    def begin_again(cls, folder: Path, records: Iterable[Record]) -> Journal:
        """Begin a journal with ``records`` in place of the damaged one, which is kept beside it.

        By the process that tried to :meth:`open` it, and so has the lock. Raises :class:`JournalError`.
        """
        path = folder / "journal"
        data = b"".join(encode_record(record) for record in records)
        try:
            aside = path.with_name(f"journal.damaged-{secrets.token_hex(4)}")
            os.link(path, aside)
            fd = _put(path, data)
        except OSError as error:
            raise JournalError(f"cannot begin the journal {path} again: {error.strerror}") from error
        return cls(path, fd, replay(decode_journal(data)[0]), len(data))

    def append(self, *records: Record) -> None:
        """Put records on disk, synced once, then into ``state``.

        :class:`JournalError` means that neither happened, of none of them.
        """
        frame = b"".join(encode_record(record) for record in records)
        try:
            unwritten = memoryview(frame)
            while unwritten:
                unwritten = unwritten[os.write(self._fd, unwritten) :]
            os.fsync(self._fd)
        except OSError as error:
            os.ftruncate(self._fd, self._size)
            raise JournalError(f"cannot write the journal {self._path}: {error.strerror}") from error
        self._size += len(frame)
        for record in records:
            self.state.apply(record)
        self.appended(self.state)
        if self._size > COMPACT_ABOVE and self._size > 4 * self._live:
            self.compact()

    def compact(self) -> None:
        """Replace the file, atomically, by the shortest that says the same; raises :class:`JournalError`."""
        data = b"".join(encode_record(record) for record in self.state.records())
        try:
            fd = _put(self._path, data)
        except OSError as error:
            raise JournalError(f"cannot compact the journal {self._path}: {error.strerror}") from error
        os.close(self._fd)
        self._fd, self._size, self._live = fd, len(data), len(data)

    def close(self) -> None:
        """Close the file; the lock goes with the process."""
        os.close(self._fd)


def _put(path: Path, data: bytes) -> int:
    """Make ``data`` the file's, atomically and synced; return a descriptor that appends. Raises OSError."""
    fresh = path.with_name("journal.new")
    fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    with os.fdopen(os.dup(fd), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(fd)
    fresh.replace(path)
    _sync_folder(path.parent)
    return fd


def _lock(path: Path) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise AgentRunningError(f"another agent runs on {path.parent}: end it first") from error


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
