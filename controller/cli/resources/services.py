"""``herald services …``."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli.answers import Column, Done, Rows
from controller.cli.call import Call
from controller.cli.frame import Commands
from controller.cli.routes import herald

COLUMNS = (Column("id", "id"), Column("name", "name", wraps=True))

app = Commands("services", "Services that may be bound to prefixes.")


@app.reads("list")
def list_(call: Call) -> Rows:
    """List services; they are the same for every account.

    \b
    Examples:
      herald services list
    """
    found = [row for account in call.accounts()[:1] for row in call.client.services(account)]
    return Rows(found, COLUMNS, "There is no service: herald services add ID NAME")


@app.writes("add", "create", account=False)
def add(
    call: Call,
    id_: Annotated[str, typer.Argument(metavar="ID", help="What it is called by.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people call it.")],
) -> Done:
    """Make a service (operators).

    \b
    Examples:
      herald services add cdn CDN
    """
    made = call.client.write("POST", herald("services"), {"id": id_, "name": name})
    return Done(made, f"service {id_} is there, called {name!r}")
