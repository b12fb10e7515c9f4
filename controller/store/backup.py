"""Copies of a whole store, exact and fast, in its own kind's format: a SQLite file, or pg_dump's custom one.

A copy is consistent however busy the store is. For a copy that another kind of store can read there is
:mod:`controller.exports`.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DatabaseError

from controller.store.address import StoreAddress
from controller.store.engine import open_store
from controller.store.errors import StoreError, StoreInUseError, StoreUnavailableError
from controller.store.migrate import revisions
from controller.store.sqlite import lock

LEAVING_S = 2.0
"""Seconds that a connection may take to end on the server once its client has closed it."""

PROGRAMS = Path("/usr/lib/postgresql")


def back_up(address: StoreAddress, file: Path) -> int:
    """Write a copy of the store to ``file`` (mode 0600, replaced whole) and return its size in bytes.

    Raises :class:`StoreError` when there is no store, or the copy cannot be made.
    """
    partial = file.with_name(f"{file.name}.partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.close(descriptor)
        if address.path is not None:
            _copy_sqlite(address.path, partial)
        else:
            _run("pg_dump", address, "--format=custom", "--no-owner", "--no-privileges", f"--file={partial}")
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(file)
    except OSError as error:
        raise StoreError(f"cannot write {file}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
    return file.stat().st_size


def restore(file: Path, address: StoreAddress, *, replace: bool = False) -> Path | None:
    """Make the store what ``file`` holds; with ``replace`` though there is one already.

    A SQLite store that was there is kept beside the new one; its path is returned. Raises
    :class:`StoreInUseError` while a process has the store open, :class:`StoreError` when ``file`` is no copy
    of a store of this kind, or there is a store and ``replace`` is not given.
    """
    if not file.is_file():
        raise StoreError(f"there is no file {file}")
    kept = _restore_sqlite(file, address.path, replace) if address.path else None
    if address.path is None:
        _restore_postgresql(file, address, replace)
    open_store(address).close()  # migrates an older release's copy
    return kept


def _copy_sqlite(source: Path, target: Path) -> None:
    if not source.is_file():
        raise StoreError(f"there is no store at {source}")
    try:
        with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(target)) as copy:
            live.backup(copy)  # in one step: a reader, which holds up nobody in WAL mode
            copy.execute("PRAGMA journal_mode=DELETE")  # so that the copy is one file
    except sqlite3.DatabaseError as error:
        raise StoreError(f"cannot copy {source}: {error}") from error


def _restore_sqlite(file: Path, path: Path, replace: bool) -> Path | None:
    _check_sqlite(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    holding = lock(path, alone=True)
    try:
        kept = None
        if path.exists() and path.stat().st_size:
            if not replace:
                raise StoreError(f"there is a store at {path} already: give --replace to put it aside")
            kept = _free_name(path)
        partial = path.with_name(f"{path.name}.partial")
        partial.unlink(missing_ok=True)
        partial.touch(mode=0o600)
        _copy_sqlite(file, partial)
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        if kept is not None:
            _put_aside(path, kept)
        for left in ("-wal", "-shm"):
            path.with_name(path.name + left).unlink(missing_ok=True)
        partial.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    finally:
        os.close(holding)
    return kept


def _put_aside(path: Path, kept: Path) -> None:
    """Copy what was there; if it is too damaged for that, move it with all that belongs to it."""
    kept.touch(mode=0o600)
    try:
        _copy_sqlite(path, kept)
    except StoreError:
        for suffix in ("-wal", "-shm", ""):
            belongs = path.with_name(path.name + suffix)
            if belongs.exists():
                belongs.replace(kept.with_name(kept.name + suffix))


def _free_name(path: Path) -> Path:
    number = 1
    while (found := path.with_name(f"{path.name}.before-restore-{number}")).exists():
        number += 1
    return found


def _check_sqlite(file: Path) -> None:
    """Refuse a file that is no whole copy of a store of this release or an older one."""
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as copy:
            (verdict,) = copy.execute("PRAGMA quick_check(1)").fetchone()
            (schema,) = copy.execute("SELECT version_num FROM alembic_version").fetchone()
    except (sqlite3.DatabaseError, TypeError) as error:
        raise StoreError(f"{file} is no copy of a SQLite store ({error})") from error
    if verdict != "ok":
        raise StoreError(f"{file} is damaged: {verdict}")
    if schema not in revisions():
        raise StoreError(f"{file} has schema {schema}, this release knows up to {revisions()[-1]}")


def _restore_postgresql(file: Path, address: StoreAddress, replace: bool) -> None:
    with file.open("rb") as opened:
        if opened.read(5) != b"PGDMP":
            raise StoreError(f"{file} is no copy of a PostgreSQL store (herald store backup makes one)")
    engine = create_engine(address.url, hide_parameters=True)
    try:
        with engine.connect() as connection:
            others = _others(connection)
            tables = connection.execute(
                text("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()")
            ).scalar_one()
    except DatabaseError as error:
        raise StoreUnavailableError(f"cannot open the database {address}: {error.orig}") from error
    finally:
        engine.dispose()
    if others:
        raise StoreInUseError(
            f"the store {address} is in use ({others} connections): stop herald serve first"
        )
    if tables and not replace:
        raise StoreError(f"there are tables in {address} already: give --replace to replace them")
    clean = ("--clean", "--if-exists") if tables else ()
    _run("pg_restore", address, *clean, "--no-owner", "--no-privileges", "--single-transaction",
         "--exit-on-error", str(file))  # fmt: skip


def _others(connection: Connection) -> int:
    """Return how many others are connected; whoever has just left counts for a moment, and is waited for."""
    deadline = time.monotonic() + LEAVING_S
    while True:
        others = connection.execute(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
        ).scalar_one()
        if not others or time.monotonic() > deadline:
            return int(others)
        connection.rollback()  # a transaction sees the same answer all along
        time.sleep(0.02)


def _run(program: str, address: StoreAddress, *arguments: str) -> None:
    """Run one of PostgreSQL's programs; the password goes by the environment, where nobody sees it."""
    newest = sorted(
        PROGRAMS.glob(f"*/bin/{program}"), key=lambda p: int(p.parts[-3].partition(".")[0]), reverse=True
    )
    if not newest:
        raise StoreError(f"{program} is not installed: scripts/setup installs PostgreSQL")
    url = address.url
    environment = dict(os.environ)
    password = url.password or url.query.get("password")
    if isinstance(password, str):
        environment["PGPASSWORD"] = password
    shown = url.set(drivername="postgresql").difference_update_query(["password"])
    shown = shown._replace(password=None)
    done = subprocess.run(
        [str(newest[0]), f"--dbname={shown.render_as_string(hide_password=False)}", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"]
        raise StoreError(f"{program} failed: {said[0]}")
