"""``herald accounts …``."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli import cells
from controller.cli.answers import Column, Done, Rows
from controller.cli.call import Call
from controller.cli.frame import Commands
from controller.cli.routes import herald

COLUMNS = (
    Column("id", "id"),
    Column("name", "name", wraps=True),
    Column("created", "created_at", cells.time, rank=1),
)

app = Commands("accounts", "Customers' accounts.")


@app.reads("list", account=False)
def list_(call: Call) -> Rows:
    """List accounts; a customer sees its own.

    \b
    Examples:
      herald accounts list
    """
    return Rows(call.client.accounts(), COLUMNS, "There is no account: herald accounts add NAME")


@app.writes("add", "create", account=False)
def add(
    call: Call,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The customer's name.")],
    id_: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="What it is called by; made up if left out.")
    ] = None,
) -> Done:
    """Make an account (operators).

    \b
    Examples:
      herald accounts add "Acme" --id acme
    """
    made = call.client.write("POST", herald("accounts"), {"name": name, "id": id_})
    return Done(made, f"account {made.result['id']} is there, called {name!r}")
