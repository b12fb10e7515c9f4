"""One SQLite file, opened so that an acknowledged write survives a crash.

WAL, ``synchronous=FULL`` (each commit reaches the disk before it is acknowledged), foreign keys on.
Writes begin with ``BEGIN IMMEDIATE``: a read lock that is upgraded ignores ``busy_timeout``. Within the
process writers queue on a lock, which is fairer than SQLite's polling.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from controller.store.errors import NestedWriteError, StoreError, StoreUnavailableError
from controller.store.migrate import migrate

BUSY_TIMEOUT_S = 10
"""Seconds to wait for another process's write lock."""


class Store:
    """The open database; safe to use from several threads, a session from one at a time."""

    def __init__(self, path: Path, engine: Engine) -> None:
        self.path = path
        self._engine = engine
        self._readers = sessionmaker(engine, expire_on_commit=False, autoflush=True)
        writing = engine.execution_options(herald_write=True)
        self._writers = sessionmaker(writing, expire_on_commit=False, autoflush=True)
        self._lock = threading.Lock()
        self._writer: int | None = None

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Give a session in a write transaction: committed at the end, rolled back by any exception.

        Raises :class:`NestedWriteError` inside a write of the same thread, :class:`StoreUnavailableError`
        when another process holds the lock for longer than ``BUSY_TIMEOUT_S``.
        """
        if self._writer == threading.get_ident():
            raise NestedWriteError("a write was begun inside a write of the same thread: pass the session on")
        with self._lock:
            self._writer = threading.get_ident()
            try:
                with self._writers.begin() as session:
                    _begin(session, self.path)
                    yield session
            finally:
                self._writer = None

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Give a session that sees one consistent state of the database and cannot change it."""
        with self._readers() as session:
            _begin(session, self.path)
            yield session

    def close(self) -> None:
        """Close all connections; sessions that are still in use end first."""
        self._engine.dispose()


def open_store(path: Path) -> Store:
    """Open (or make, mode 0600) the database at ``path``, migrated to this release's schema.

    Raises :class:`StoreError` when the file is no database, :class:`DatabaseVersionError` when a newer
    release wrote it, :class:`StoreUnavailableError` when it cannot be opened.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
    except OSError as error:
        raise StoreUnavailableError(f"cannot open the database {path}: {error.strerror}") from error
    engine = _engine(path)
    try:
        migrate(engine)
    except OperationalError as error:
        engine.dispose()
        raise StoreUnavailableError(f"cannot open the database {path}: {error.orig}") from error
    except DatabaseError as error:
        engine.dispose()
        raise StoreError(f"{path} is not a database of Herald's ({error.orig}): move it away") from error
    except StoreError:
        engine.dispose()
        raise
    return Store(path, engine)


def _engine(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}", connect_args={"timeout": BUSY_TIMEOUT_S}, pool_size=8, max_overflow=40
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver must not begin transactions of its own
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        writes = connection.get_execution_options().get("herald_write", False)
        connection.exec_driver_sql("PRAGMA query_only=" + ("OFF" if writes else "ON"))
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _begin(session: Session, path: Path) -> None:
    try:
        session.connection()
    except OperationalError as error:
        raise StoreUnavailableError(
            f"the database {path} cannot be used now ({error.orig}): try again"
        ) from error
