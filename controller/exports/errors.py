"""Errors of exports.

::

    ExportError
    ├── BadLineError        a line that is not as it must be; nothing was imported
    └── NotEmptyError       the store to import into has something in it
"""

from __future__ import annotations

from controller.errors import HeraldError


class ExportError(HeraldError):
    """Root of the errors of this package."""


class BadLineError(ExportError):
    """One line is not as it must be: its number, and the field when there is one to blame."""

    def __init__(self, line: int, why: str, field: str | None = None) -> None:
        place = f"line {line}" if field is None else f"line {line}, field {field}"
        super().__init__(f"{place}: {why}; nothing was imported")
        self.line = line
        self.field = field


class NotEmptyError(ExportError):
    """The store has rows already; an import would mix two states."""
