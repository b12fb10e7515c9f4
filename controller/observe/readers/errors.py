"""Errors of the RIB readers.

::

    ReaderError
    ├── ReaderUnreachableError   the daemon does not answer (retry); never to be taken for "no routes"
    ├── ReaderRefusedError       the daemon answered with an error of its own
    └── ReaderGarbledError       the answer is not what this daemon says
"""

from __future__ import annotations

from typing import ClassVar

from controller.errors import HeraldError, Remedy


class ReaderError(HeraldError):
    """Root of the errors of this package; the text names the node and its daemon."""


class ReaderUnreachableError(ReaderError):
    """Nobody answers at the daemon's socket in time."""

    remedy: ClassVar[Remedy] = Remedy.RETRY


class ReaderRefusedError(ReaderError):
    """The daemon answered, and said no."""


class ReaderGarbledError(ReaderError):
    """The answer ends early, or has a form that this daemon's known versions do not give."""
