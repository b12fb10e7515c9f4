"""One SQLite file, opened so that an acknowledged write survives a crash.

WAL, ``synchronous=FULL`` (each commit reaches the disk before it is acknowledged), foreign keys on.
Writes begin with ``BEGIN IMMEDIATE``: a read lock that is upgraded ignores ``busy_timeout``.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

from controller.store.address import StoreAddress
from controller.store.errors import StoreInUseError, StoreUnavailableError

BUSY_TIMEOUT_S = 10
"""Seconds to wait for another process's write lock."""

AWAY = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }
)
"""Results after which the same call may succeed later."""


def make_engine(address: StoreAddress) -> Engine:
    """Return the engine of a file, which is made (mode 0600) when it is not there.

    Raises :class:`StoreUnavailableError` when it cannot be made.
    """
    path = address.path
    assert path is not None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
    except OSError as error:
        raise StoreUnavailableError(f"cannot open the database {path}: {error.strerror}") from error
    engine = create_engine(
        address.url,
        connect_args={"timeout": BUSY_TIMEOUT_S},
        pool_size=8,
        max_overflow=40,
        hide_parameters=True,
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


def lock(path: Path, *, alone: bool = False) -> int:
    """Hold the lock that says that a store is open, until the returned descriptor is closed.

    ``alone``: that nobody else has it open. Raises :class:`StoreInUseError`. It is a file of its own: closing
    any descriptor of the database's file would drop SQLite's locks.
    """
    try:
        descriptor = os.open(
            path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
    except OSError as error:
        raise StoreUnavailableError(f"cannot open the database {path}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        what = "stop herald serve first" if alone else "a copy is being restored into it"
        raise StoreInUseError(f"the store {path} is in use: {what}") from None
    return descriptor


def is_away(error: BaseException | None) -> bool:
    """Tell whether the driver's ``error`` is one after which the same call may succeed later."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF in AWAY
