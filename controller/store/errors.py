"""Errors of the store.

::

    StoreError                  a person must act
    ├── DatabaseVersionError    it was written by another release
    ├── NestedWriteError        a bug: a write inside a write of the same thread
    ├── StoreAddressError       neither a path nor a URL that Herald can use
    ├── StoreClosedError        a bug, or a thread that outlived its process's work: it was closed
    ├── StoreInUseError         somebody has it open
    └── StoreUnavailableError   locked, full, unreadable or not there: try again
"""

from __future__ import annotations

from controller.errors import HeraldError, Remedy


class StoreError(HeraldError):
    """Root of the errors of this package."""


class DatabaseVersionError(StoreError):
    """The database has a schema that this release does not know."""


class NestedWriteError(StoreError):
    """A thread asked for a write transaction inside its own one; it would wait for itself."""


class StoreAddressError(StoreError):
    """What was given names no store."""


class StoreClosedError(StoreError):
    """A session was asked for after the store had been closed."""


class StoreInUseError(StoreError):
    """A process has the store open, and this cannot be done under it."""


class StoreUnavailableError(StoreError):
    """The database cannot be opened, reached or locked at the moment."""

    remedy = Remedy.RETRY
