"""Where a store is: a SQLite file by path, or a URL; and how to name it without its secrets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from controller.store.errors import StoreAddressError

StoreKind = Literal["sqlite", "postgresql"]

CHOICES = "give a file's path, sqlite:///PATH, or postgresql://USER@HOST:PORT/DATABASE"


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """A store's place. ``path``: the file of a SQLite store, None for PostgreSQL."""

    kind: StoreKind
    url: URL
    path: Path | None = None

    def __str__(self) -> str:
        """Return what may be shown: no password, and of the options no more than the host."""
        if self.path is not None:
            return str(self.path)
        host = self.url.query.get("host")
        options = {} if host is None else {"host": host}
        shown = URL.create(
            "postgresql", self.url.username, None, self.url.host, self.url.port, self.url.database, options
        )
        return shown.render_as_string(hide_password=True)

    def __repr__(self) -> str:
        """Return the same: an address ends in logs and tracebacks."""
        return f"StoreAddress({str(self)!r})"


def store_address(given: StoreAddress | Path | str) -> StoreAddress:
    """Return the address that ``given`` means.

    Raises :class:`StoreAddressError`, which never repeats what was given: there may be a password in it.
    """
    if isinstance(given, StoreAddress):
        return given
    if isinstance(given, Path) or "://" not in given:
        path = Path(given)
        return StoreAddress("sqlite", URL.create("sqlite", database=str(path)), path)
    try:
        url = make_url(given)
    except (ArgumentError, ValueError) as error:
        # Not "from error": what it says may hold the password.
        raise StoreAddressError(
            f"the store's URL cannot be read ({type(error).__name__}): {CHOICES}"
        ) from None
    if url.drivername == "sqlite":
        return _sqlite(url)
    if url.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return StoreAddress("postgresql", url.set(drivername="postgresql+psycopg"))
    raise StoreAddressError(f"a store cannot be at {url.drivername}://: {CHOICES}")


def _sqlite(url: URL) -> StoreAddress:
    if not url.database or url.database == ":memory:" or url.host or url.query:
        raise StoreAddressError(f"a SQLite store is one file, without options: {CHOICES}")
    path = Path(url.database)
    return StoreAddress("sqlite", URL.create("sqlite", database=str(path)), path)
