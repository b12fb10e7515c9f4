"""The database: one SQLite file, its engine and its migrations (Alembic).

``open_store(path)`` gives a :class:`Store`; ``store.write()`` and ``store.read()`` give sessions. Tables
stand in the rooms that own them (``controller.addressing.tables`` and so on) and derive from
:class:`Base`. A change of a table is a new file in ``migrations/versions``, ``v<NNNN>_<what>.py``.
May depend on ``controller.errors`` and nothing else of Herald.
"""

from controller.store.base import Base, UtcDateTime
from controller.store.engine import Store, open_store
from controller.store.errors import DatabaseVersionError, NestedWriteError, StoreError, StoreUnavailableError

__all__ = [
    "Base",
    "DatabaseVersionError",
    "NestedWriteError",
    "Store",
    "StoreError",
    "StoreUnavailableError",
    "UtcDateTime",
    "open_store",
]
