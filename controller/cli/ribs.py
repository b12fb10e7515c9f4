"""``herald ribs``: what the routers hold, read from their own daemons."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from controller.cli.options import Json, Lab

if TYPE_CHECKING:
    from rich.table import Table

    from controller.observe.rib import RibRow

PIPED_WIDTH = 400
"""Columns when stdout is no terminal, so that lines are never cut."""


def register(app: typer.Typer) -> None:
    """Add ``herald ribs`` to ``app``."""
    app.command("ribs")(ribs)


def ribs(
    cidr: Annotated[
        str | None, typer.Argument(metavar="[CIDR]", help="Only this prefix, such as 192.0.2.0/24.")
    ] = None,
    *,
    node: Annotated[str | None, typer.Option("--node", help="Only this router, or site's router.")] = None,
    sent: Annotated[
        bool, typer.Option("--sent", help="What our sites' speakers send (Adj-RIB-Out) instead.")
    ] = False,
    lab: Lab = None,
    as_json: Json = False,
) -> None:
    """Show the routes that real routers hold: one row per candidate, the best marked.

    Examples: herald ribs · herald ribs 192.0.2.0/24 --node t-frr · herald ribs --sent --json
    """
    from controller.bgp import parse_prefix  # noqa: PLC0415 (quick `herald --help`)
    from controller.cli.find import find_inventory  # noqa: PLC0415
    from controller.cli.output import print_json  # noqa: PLC0415
    from controller.observe.readers import read_ribs, read_sent  # noqa: PLC0415

    prefix = None if cidr is None else parse_prefix(cidr)
    inventory = find_inventory(lab)
    rows = (read_sent if sent else read_ribs)(inventory, prefix, node=node)
    if as_json:
        print_json(rows)
        return
    if not rows:
        what = "sends" if sent else "holds"
        typer.echo(f"{node or 'Nobody'} {what} {prefix or 'no prefix' if node else prefix or 'any prefix'}.")
        return
    from rich.console import Console  # noqa: PLC0415

    Console(width=None if sys.stdout.isatty() else PIPED_WIDTH).print(table(rows, sent=sent))


def table(rows: Sequence[RibRow], *, sent: bool = False) -> Table:
    """Return the rows as a table grouped by prefix and node, in the order of prefixes.

    Of rows that are ``sent``, ``from`` is the neighbour that they go to.
    """
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from controller.bgp import path_text, prefix_key  # noqa: PLC0415

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for title in (
        "prefix",
        "node",
        "daemon",
        "",
        "AS path",
        "to" if sent else "from",
        "next hop",
        "communities",
    ):
        shown.add_column(title, overflow="fold")
    before: tuple[str, str] = ("", "")
    for row in sorted(rows, key=lambda r: prefix_key(r.prefix)):
        if before[0] and row.prefix != before[0]:
            shown.add_section()
        again = (row.prefix, row.node) == before
        cells = (
            row.prefix if row.prefix != before[0] else "",
            "" if again else row.node,
            "" if again else row.daemon,
            "*" if row.best else "",
            path_text(row.as_path) or "i",
            row.from_ or ("local" if not row.as_path else "?"),
            row.next_hop or "",
            " ".join(row.communities),
        )
        # Text, since Rich would take parts of an IPv6 address for the names of pictures.
        shown.add_row(*(Text(cell) for cell in cells), style="bold" if row.best else "dim")
        before = (row.prefix, row.node)
    return shown
