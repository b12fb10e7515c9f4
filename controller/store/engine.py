"""The open store: transactions for reading and writing, on SQLite and on PostgreSQL alike.

Within the process writers queue on a lock, which is fairer than SQLite's polling and keeps PostgreSQL's
connections for readers. Closing waits for the sessions in use: whoever was cancelled while a worker thread of
his used one has left the thread behind, and its connection would outlive the store.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from sqlalchemy import Engine, text
from sqlalchemy.exc import DatabaseError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session, sessionmaker

from controller.store.address import StoreAddress, StoreKind, store_address
from controller.store.errors import (
    NestedWriteError,
    StoreClosedError,
    StoreError,
    StoreUnavailableError,
)
from controller.store.migrate import migrate

CLOSING_S = 30.0
"""Seconds that :meth:`Store.close` waits for sessions in use; their connections end with them afterwards."""


class Store:
    """The open database; safe to use from several threads, a session from one at a time."""

    def __init__(self, address: StoreAddress, engine: Engine, holding: int | None = None) -> None:
        self.address = address
        self._holding = holding  # the lock on a SQLite store
        self._engine = engine
        reading, writing = engine, engine.execution_options(herald_write=True)
        if address.kind == "postgresql":
            reading = _dialect("postgresql").readers(engine)
        self._readers = sessionmaker(reading, expire_on_commit=False, autoflush=True)
        self._writers = sessionmaker(writing, expire_on_commit=False, autoflush=True)
        self._lock = threading.Lock()
        self._writer: int | None = None
        self._sessions = 0  # in use, also those that wait for their turn
        self._closed = False
        self._moved = threading.Condition()

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Give a session in a write transaction: committed at the end, rolled back by any exception.

        Raises :class:`NestedWriteError` inside a write of the same thread, :class:`StoreUnavailableError`
        when the database is away, or another process writes for too long, :class:`StoreClosedError` after
        :meth:`close`. When it goes away during the commit, nobody knows whether the write was done: callers
        repeat with an idempotency key.
        """
        if self._writer == threading.get_ident():
            raise NestedWriteError("a write was begun inside a write of the same thread: pass the session on")
        with self._in_use(), self._lock, _told(self.address):
            self._writer = threading.get_ident()
            try:
                with self._writers.begin() as session:
                    session.connection()
                    yield session
            finally:
                self._writer = None

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Give a session that sees one consistent state of the database and cannot change it.

        Raises :class:`StoreUnavailableError` when the database is away, :class:`StoreClosedError` after
        :meth:`close`.
        """
        with self._in_use(), _told(self.address), self._readers() as session:
            session.connection()
            yield session

    def close(self) -> None:
        """Close all connections; sessions that are still in use end first, and nobody gets another."""
        with self._moved:
            self._closed = True
            self._moved.wait_for(lambda: self._sessions == 0, CLOSING_S)
        _let_go(self._engine, self._holding)
        self._holding = None

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        with self._moved:
            if self._closed:
                raise StoreClosedError(f"the store {self.address} has been closed")
            self._sessions += 1
        try:
            yield
        finally:
            with self._moved:
                self._sessions -= 1
                self._moved.notify_all()

    def is_durable(self) -> bool:
        """Tell whether the server writes commits through to its disk (``fsync``); SQLite always does."""
        if self.address.kind == "sqlite":
            return True
        with self.read() as session:
            return bool(session.scalar(text("SELECT current_setting('fsync') = 'on'")))


def open_store(where: StoreAddress | Path | str) -> Store:
    """Open the store at a path or URL, migrated to this release's schema; a SQLite file is made.

    Raises :class:`StoreError` when there is something else, :class:`DatabaseVersionError` when a newer
    release wrote it, :class:`StoreUnavailableError` when it cannot be opened or reached.
    """
    address = store_address(where)
    dialect = _dialect(address.kind)
    engine: Engine = dialect.make_engine(address)
    holding = None if address.path is None else dialect.lock(address.path)
    try:
        if address.kind == "postgresql":
            dialect.check_server(engine)
        migrate(engine)
    except DatabaseError as error:
        _let_go(engine, holding)
        if dialect.is_away(error.orig):
            raise StoreUnavailableError(f"cannot open the database {address}: {_says(error)}") from error
        if address.kind == "postgresql":
            raise StoreError(f"cannot use the database {address}: {_says(error)}") from error
        raise StoreError(f"{address} is not a database of Herald's ({error.orig}): move it away") from error
    except StoreError:
        _let_go(engine, holding)
        raise
    return Store(address, engine, holding)


def _let_go(engine: Engine, holding: int | None) -> None:
    engine.dispose()
    if holding is not None:
        os.close(holding)


@contextmanager
def _told(address: StoreAddress) -> Iterator[None]:
    """Tell what a person or program can do about a database that is away; other errors are bugs."""
    try:
        yield
    except DBAPIError as error:
        if not _dialect(address.kind).is_away(error.orig):
            raise
        raise StoreUnavailableError(
            f"the database {address} cannot be used now ({_says(error)}): try again"
        ) from error
    except PoolTimeoutError as error:
        raise StoreUnavailableError(f"all connections to {address} are in use: try again") from error


def _dialect(kind: StoreKind) -> ModuleType:
    """Return the module of one kind of store; psycopg is only loaded where it is used."""
    if kind == "postgresql":
        from controller.store import postgresql  # noqa: PLC0415

        return postgresql
    from controller.store import sqlite  # noqa: PLC0415

    return sqlite


def _says(error: DBAPIError) -> str:
    """Return the driver's first line; more lines are hints about the server's own files."""
    return str(error.orig).strip().partition("\n")[0]
