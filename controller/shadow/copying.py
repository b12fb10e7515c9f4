"""A private copy of a store, from which nobody can be told anything."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from controller.exports import export_lines, import_lines
from controller.exports.lines import LONGEST_LINE
from controller.shadow.errors import CopyError
from controller.store import StoreAddress, open_store, store_address
from controller.store.backup import back_up
from controller.store.migrate import revisions

SILENCED = "herald shadow: nobody is told of what happens in a copy"


def copy_store(where: str, to: Path) -> None:
    """Make ``to`` (a SQLite file) a copy of the store at a path or URL, which is left as it is.

    A SQLite store is copied as it is, whatever release wrote it; a PostgreSQL one by an export, for which it
    must have this release's schema. Raises :class:`CopyError`, or the store's own errors.
    """
    address = store_address(where)
    if address.path is not None:
        back_up(address, to)
    else:
        _check_schema(address)
        store = open_store(address)
        try:
            copy = open_store(to)
            try:
                import_lines(copy, export_lines(store))
            finally:
                copy.close()
        finally:
            store.close()
    os.chmod(to, 0o600)  # noqa: PTH101 (whatever made it)


def copy_export(file: Path, to: Path) -> None:
    """Make ``to`` what an export of this release's schema holds; raises :class:`CopyError`."""
    try:
        with file.open("rb") as opened:
            copy = open_store(to)
            try:
                import_lines(copy, iter(lambda: opened.readline(LONGEST_LINE + 1), b""))
            finally:
                copy.close()
    except OSError as error:
        raise CopyError(f"cannot read {file}: {error.strerror}") from error
    os.chmod(to, 0o600)  # noqa: PTH101


def _check_schema(address: StoreAddress) -> None:
    """Refuse a server's store of another schema: opening it would move production's own tables."""
    engine = create_engine(address.url, hide_parameters=True)
    try:
        with engine.connect() as connection:
            found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    except SQLAlchemyError as error:
        raise CopyError(f"{address} cannot be read: {str(error).splitlines()[0]}") from error
    finally:
        engine.dispose()
    if found != revisions()[-1]:
        raise CopyError(
            f"{address} has schema {found}, this release {revisions()[-1]}: export it with the release that "
            "runs there, or run its own herald shadow"
        )


def silence(copy: Path) -> None:
    """Take from a copy what would tell anybody: webhooks are disabled, their deliveries are gone."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    try:
        with closing(sqlite3.connect(copy)) as opened, opened:
            tables = {r[0] for r in opened.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if "deliveries" in tables:
                opened.execute("DELETE FROM deliveries")
            if "webhooks" in tables:
                opened.execute(
                    "UPDATE webhooks SET url = 'https://shadow.invalid/', "
                    "disabled_at = coalesce(disabled_at, ?), disabled_reason = ?",
                    (now, SILENCED),
                )
    except sqlite3.DatabaseError as error:
        raise CopyError(f"{copy} cannot be changed: {error}") from error
