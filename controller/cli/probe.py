"""``herald probe``: does a prefix answer through each site, and where do routes lead its traffic?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from controller.cli.options import Json, Lab

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from controller.observe.evidence import Probed

PIPED_WIDTH = 400
"""Columns when stdout is no terminal, so that lines are never cut."""


def register(app: typer.Typer) -> None:
    """Add ``herald probe`` to ``app``."""
    app.command("probe")(probe)


def probe(
    cidr: Annotated[str, typer.Argument(metavar="CIDR", help="The prefix, such as 192.0.2.0/24.")],
    *,
    site: Annotated[
        list[str] | None, typer.Option("--site", help="Only through this site; can be given again.")
    ] = None,
    address: Annotated[
        str | None, typer.Option("--address", help="The address in the prefix; its first by default.")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="A TCP SYN to this port, not an echo.")
    ] = None,
    lab: Lab = None,
    as_json: Json = False,
) -> None:
    """Probe a prefix from each site's neighbours: through that very site, and by their own routes.

    Examples: herald probe 192.0.2.0/24 · herald probe 2001:db8:1000::/48 --site site1 --port 443 --json
    """
    from controller.bgp import parse_prefix  # noqa: PLC0415 (quick `herald --help`)
    from controller.cli.errors import CliError  # noqa: PLC0415
    from controller.cli.find import find_inventory  # noqa: PLC0415
    from controller.cli.output import print_json  # noqa: PLC0415
    from controller.observe.probes import address_in, is_in, probe_sites  # noqa: PLC0415

    prefix = parse_prefix(cidr)
    target = address or address_in(prefix)
    if not is_in(target, prefix):
        raise CliError(f"{target!r} is no address in {prefix}")
    inventory = find_inventory(lab)
    known = [s.name for s in inventory.sites]
    for name in site or ():
        if name not in known:
            raise CliError(f"no site is called {name!r}: there are {', '.join(known)}")
    rows = probe_sites(inventory, site or known, {prefix: target}, port=port)
    if as_json:
        print_json(rows)
        return
    from rich.console import Console  # noqa: PLC0415

    Console(width=None if sys.stdout.isatty() else PIPED_WIDTH).print(table(rows))


def table(rows: Sequence[Probed]) -> Table:
    """Return the rows as a table, a line for each site's neighbour."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("site", "from", "through the site", "by its routes", "which lead to", "why"):
        shown.add_column(title, overflow="fold")
    for row in rows:
        cells = (row.site, row.observer, row.through, row.led, ", ".join(row.led_to) or "no site", row.why)
        shown.add_row(*(Text(cell) for cell in cells))
    return shown
