"""How commands print: JSON, a table, progress."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence

import typer


def print_json(value: object) -> None:
    """Print ``value`` (structs, dicts, lists) as indented JSON on stdout."""
    import msgspec  # noqa: PLC0415

    typer.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows in columns; None and "" are shown as nothing. Piped, lines are never cut."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else 400).print(table)


def progress(message: str) -> None:
    """Print one line of progress to stderr."""
    print(message, file=sys.stderr, flush=True)


def state_text(state: Mapping[str, object]) -> str:
    """Return an extension field (``operational``, ``observed``) in a few words."""
    text = str(state.get("state", ""))
    if state.get("of"):
        text += f" {state['seen_by']}/{state['of']}"
    return text
