"""The stores that tests run on: ``pytest --store sqlite|postgresql|both``.

Every test of a module that serves the API (that imports ``running_api``), or that is marked ``stores``, runs
on each of them; nothing else is to be done. :func:`a_store` says where the store of a folder is.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from controller.store import open_store
from tests.postgresql import TEMPLATE, Server

KINDS = ("sqlite", "postgresql")

EMPTY = """
DO $$ DECLARE t record; BEGIN
  SET LOCAL session_replication_role = replica;
  FOR t IN SELECT quote_ident(relname) AS name FROM pg_class
           WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'
  LOOP EXECUTE 'DELETE FROM ' || t.name; END LOOP;
  PERFORM setval(oid::regclass, 1, false) FROM pg_class
           WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace;
END $$
"""
"""Empties every table, whatever its triggers say."""


class Stores:
    """The stores of one test run; the server is started when it is first asked for."""

    def __init__(self) -> None:
        self.kind = "sqlite"
        self._server: Server | None = None
        self._used: dict[Path, str] = {}
        self._free: list[str] = []

    @property
    def server(self) -> Server:
        if self._server is None:
            self._server = Server()
            name = self._server.create()
            open_store(self._server.url(name)).close()
            self._server.run_sql(f"ALTER DATABASE {name} RENAME TO {TEMPLATE}")
        return self._server

    @contextmanager
    def use(self, kind: str) -> Iterator[None]:
        """Give stores of this kind; afterwards their databases are free for others."""
        before, self.kind = self.kind, kind
        try:
            yield
        finally:
            self.kind = before
            self._free += self._used.values()
            self._used.clear()

    def at(self, path: Path) -> Path | str:
        """Return what opens the store that stands for the file ``path``; the same path, the same store."""
        if self.kind == "sqlite":
            return path
        if path not in self._used:
            self._used[path] = self._empty() if self._free else self.server.create(template=TEMPLATE)
        return self.server.url(self._used[path])

    def copy(self, path: Path, to: Path) -> None:
        """Make the store of ``to`` a copy of the store of ``path``, which nobody has open."""
        if self.kind == "sqlite":
            shutil.copy(path, to)
        else:
            self._used[to] = self.server.create(template=self._used[path])

    def _empty(self) -> str:
        name = self._free.pop()
        with psycopg.connect(self.server.url(name), autocommit=True) as connection:
            connection.execute(EMPTY)
        # Nobody of an earlier test stays, and that connection's server process is gone, too.
        self.server.run_sql(
            f"SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity WHERE datname = '{name}'"
        )
        return name

    def close(self) -> None:
        if self._server is not None:
            self._server.remove()
            self._server = None


stores = Stores()


def a_store(path: Path) -> Path | str:
    """Return what ``open_store`` takes for the store that a test would keep in the file ``path``."""
    return stores.at(path)
