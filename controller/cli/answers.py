"""What a command answers with: rows, one object, or a write that was done (pure).

A command returns one of these and prints nothing itself; ``output`` prints it as JSON or as a table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller.cli.cells import text

Object = dict[str, Any]
"""An object of the API, as JSON."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, or a line of a card.

    ``get``: the field, with dots for fields in fields, or a function of the row. ``rank``: 0 is always
    shown; of the others the highest goes first where the terminal is narrow. ``wraps``: running text.
    """

    title: str
    get: str | Callable[[Object], object]
    show: Callable[[Any], str] = text
    rank: int = 0
    wraps: bool = False

    def cell(self, row: Object) -> str:
        """Return what is shown of ``row``."""
        value: Any = row
        if not isinstance(self.get, str):
            return self.show(self.get(row))
        for name in self.get.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        return self.show(value)


@dataclass(frozen=True, slots=True)
class Rows:
    """A list; ``none`` says that it is empty."""

    rows: Sequence[Object]
    columns: Sequence[Column]
    none: str = "There is none."


@dataclass(frozen=True, slots=True)
class Card:
    """One object: a line for each column, empty ones left out, then lists that belong to it."""

    body: Object
    columns: Sequence[Column]
    parts: Sequence[Rows] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """What a write answered: the object, its change-sets, its ETag without quotes, a dry run's plan."""

    result: Object
    change_sets: tuple[str, ...] = ()
    etag: str | None = None
    plan: Object | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """A write and what it comes to in one line; ``shown`` is beside it, ``also`` goes into the JSON."""

    written: Written
    says: str
    shown: Card | None = None
    also: Object = field(default_factory=dict)

    @property
    def body(self) -> Object:
        """The JSON: the object, and what the API says of it in headers."""
        made = self.written
        body = {**made.result, **self.also, "change_set": next(iter(made.change_sets), None)}
        if len(made.change_sets) > 1:
            body["change_sets"] = list(made.change_sets)
        if made.etag is not None:
            body["etag"] = made.etag
        if made.plan is not None:
            body["plan"] = made.plan
        return body


Answer = Rows | Card | Done
"""What a command returns; None when it has printed what there is to say."""
