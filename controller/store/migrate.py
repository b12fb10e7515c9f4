"""Brings a database to this release's schema.

Alembic costs a third of a second to import, so it is only loaded when there is something to do: the
newest revision is read from the names of the files in ``migrations/versions``.
"""

from __future__ import annotations

import re
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from controller.store.errors import DatabaseVersionError

MIGRATIONS = Path(__file__).parent / "migrations"


def revisions() -> list[str]:
    """Return all revisions of this release, oldest first."""
    names = (re.fullmatch(r"v(\d{4})_\w+", p.stem) for p in (MIGRATIONS / "versions").glob("v*.py"))
    return sorted(name[1] for name in names if name)


def current_revision(connection: Connection) -> str | None:
    """Return the revision that the database has, None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def migrate(engine: Engine) -> None:
    """Upgrade the database in one transaction; does nothing when it is up to date.

    Several processes may do so at once: the write lock is held throughout, and each looks again once it has
    it. Raises :class:`DatabaseVersionError` when the database has a revision that is not one of ours.
    """
    newest = revisions()[-1]
    with engine.connect() as connection:
        if current_revision(connection) == newest:
            return
    with engine.execution_options(herald_write=True).begin() as connection:
        current = current_revision(connection)
        if current == newest:
            return
        if current is not None and current not in revisions():
            raise DatabaseVersionError(
                f"{engine.url.database} has schema {current}, this release knows up to {newest}: "
                "start the release that wrote it, or restore an older copy"
            )
        from alembic import command  # noqa: PLC0415 (slow to import)
        from alembic.config import Config  # noqa: PLC0415

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
