"""``herald validation …``."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli import cells
from controller.cli.answers import Card, Column, Done, Rows
from controller.cli.call import Call
from controller.cli.frame import Commands
from controller.cli.routes import herald

SOURCES = (
    Column("source", "source"),
    Column("kind", "kind", rank=2),
    Column("state", "state"),
    Column("VRPs", "vrps", rank=1),
    Column("at", "at", cells.time, rank=3),
    Column("refused", "refused", rank=2),
    Column("trouble", "trouble", rank=1, wraps=True),
)
STATES = ("pending", "valid", "invalid", "error")
CHECKS = (
    Column("check", "name"),
    *(Column(state, state) for state in STATES),
)
CARD = (
    Column("required", "required"),
    Column("checks with a source", "available"),
    Column("whois", "whois"),
    Column("DNS", "dns"),
)

app = Commands("validation", "Sources of RPKI, IRR and DNS, and how the checks stand: status, accept.")


@app.reads("status", account=False)
def status(call: Call) -> Card:
    """Show the sources of validation, and how many checks are in which state (operators).

    \b
    Examples:
      herald validation status
    """
    found = call.client.one(herald("validation"))
    counts = [
        {"name": name, **{s: by_state.get(s, 0) for s in STATES}}
        for name, by_state in found["checks"].items()
    ]
    sources = Rows(found["sources"], SOURCES, "There is no source of VRPs.")
    return Card(found, CARD, (sources, Rows(counts, CHECKS)))


@app.writes("accept", account=False)
def accept(
    call: Call,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="As in status.")],
    vrps: Annotated[
        int, typer.Argument(metavar="VRPS", min=0, help="How many the refused set has, as in status.")
    ],
) -> Done:
    """Take a set of VRPs that was refused because its source has shrunk (operators).

    \b
    Examples:
      herald validation accept 192.0.2.1:323 412000 --reason "A trust anchor was taken out"
    """
    made = call.client.write("POST", herald("validation", "accept"), {"source": source, "vrps": vrps})
    return Done(made, f"{source} is believed with {vrps} VRPs")
