"""A PostgreSQL database (15 or later), used so that it behaves as the SQLite file does.

Writers are serial across processes: each begins with an advisory lock, so that what a rule has read still
holds when its write is made. They read what is committed: after the lock that is all there is, while a
snapshot could be older than the wait. Readers see one state (``REPEATABLE READ``) and cannot write.
``synchronous_commit`` is on whatever the server's default is: an acknowledged write survives a crash.
"""

from __future__ import annotations

from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, text

from controller.store.address import StoreAddress
from controller.store.errors import StoreError

OLDEST = 15
LOCK_TIMEOUT_S = 10
"""Seconds to wait for another process's write."""

WRITER_LOCK = 0x48_45_52_41_4C_44
"""The advisory lock's key ("HERALD"); keys are a database's own."""

CONNECT_TIMEOUT_S = 5
POOL_TIMEOUT_S = 10

AWAY_CLASSES = frozenset({"08", "40", "53", "57", "58"})
"""SQLSTATE classes after which the same call may succeed later: connection, rollback, resources, operator,
system."""

LOCK_NOT_AVAILABLE = "55P03"

KEEPALIVE = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""So that neither end waits for hours for a host that is gone (ignored on unix sockets)."""

SESSION = """
SELECT set_config('lock_timeout', '%ds', false),
       set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
       set_config('tcp_keepalives_count', '3', false),
       CASE WHEN current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')
            THEN set_config('synchronous_commit', 'on', false) END
"""


def make_engine(address: StoreAddress) -> Engine:
    """Return the engine of a database; nothing is connected yet."""
    engine = create_engine(
        address.url,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": "herald",
            "client_encoding": "utf8",
            **KEEPALIVE,
        },
        pool_size=8,
        max_overflow=24,
        pool_timeout=POOL_TIMEOUT_S,
        pool_pre_ping=True,  # a server that was restarted costs nobody an error
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: psycopg.Connection[Any], _record: object) -> None:
        connection.execute(SESSION % LOCK_TIMEOUT_S)
        connection.commit()

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        if connection.get_execution_options().get("herald_write", False):
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER_LOCK})")

    return engine


def readers(engine: Engine) -> Engine:
    """Return the engine for reads: one state, and no writing."""
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def check_server(engine: Engine) -> None:
    """Raise :class:`StoreError` unless the server is one that Herald can use."""
    with engine.connect() as connection:
        version, encoding = connection.execute(
            text("SELECT current_setting('server_version_num')::int, current_setting('server_encoding')")
        ).one()
    if version < OLDEST * 10_000:
        raise StoreError(f"the server is PostgreSQL {version // 10_000}: Herald needs {OLDEST} or later")
    if encoding != "UTF8":
        raise StoreError(f"the database's encoding is {encoding}: make one with ENCODING 'UTF8'")


def is_away(error: BaseException | None) -> bool:
    """Tell whether the driver's ``error`` is one after which the same call may succeed later."""
    if not isinstance(error, psycopg.Error):
        return False
    state = error.sqlstate
    if state is None:  # the server said nothing: it was not reached, or has gone
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return state[:2] in AWAY_CLASSES or state == LOCK_NOT_AVAILABLE
