"""The database: a SQLite file or a PostgreSQL database, its engine and its migrations (Alembic).

``open_store(path or URL)`` gives a :class:`Store`; ``store.write()`` and ``store.read()`` give sessions.
Tables stand in the rooms that own them (``controller.addressing.tables`` and so on) and derive from
:class:`Base`. A change of a table is a new file in ``migrations/versions``, ``v<NNNN>_<what>.py``.
May depend on ``controller.errors`` and nothing else of Herald.
"""

from controller.store.address import StoreAddress, store_address
from controller.store.base import SEQ, Base, UtcDateTime
from controller.store.engine import Store, open_store
from controller.store.errors import (
    DatabaseVersionError,
    NestedWriteError,
    StoreAddressError,
    StoreClosedError,
    StoreError,
    StoreInUseError,
    StoreUnavailableError,
)

__all__ = [
    "SEQ",
    "Base",
    "DatabaseVersionError",
    "NestedWriteError",
    "Store",
    "StoreAddress",
    "StoreAddressError",
    "StoreClosedError",
    "StoreError",
    "StoreInUseError",
    "StoreUnavailableError",
    "UtcDateTime",
    "open_store",
    "store_address",
]
