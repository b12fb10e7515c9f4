"""Errors of the store.

::

    StoreError                  a person must act
    ├── DatabaseVersionError    the file was written by another release
    ├── NestedWriteError        a bug: a write inside a write of the same thread
    └── StoreUnavailableError   locked, full or unreadable: try again
"""

from __future__ import annotations

from controller.errors import HeraldError, Remedy


class StoreError(HeraldError):
    """Root of the errors of this package."""


class DatabaseVersionError(StoreError):
    """The database has a schema that this release does not know."""


class NestedWriteError(StoreError):
    """A thread asked for a write transaction inside its own one; it would wait for itself."""


class StoreUnavailableError(StoreError):
    """The database cannot be opened or locked at the moment."""

    remedy = Remedy.RETRY
