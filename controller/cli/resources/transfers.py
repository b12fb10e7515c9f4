"""``herald transfers …``."""

from __future__ import annotations

from typing import Annotated

import typer

from controller.cli import cells, completion
from controller.cli.answers import Column, Done, Rows
from controller.cli.call import Call
from controller.cli.frame import Commands
from controller.cli.options import Which
from controller.cli.routes import herald

COLUMNS = (
    Column("prefix", "cidr"),
    Column("from account", "account_id", rank=1),
    Column("to account", "to_account_id"),
    Column("state", "state"),
    Column("offered", "created_at", cells.time, rank=3),
    Column("expires", "expires_at", cells.time, rank=2),
    Column("reason", "reason", rank=5, wraps=True),
    Column("id", "id", rank=1),
)
Id = Annotated[str, typer.Argument(metavar="ID", help="The transfer's id, or its prefix's CIDR if open.")]

app = Commands("transfers", "Offering a prefix to another account: list, add, accept, cancel.")


@app.reads("list")
def list_(call: Call) -> Rows:
    """List what accounts offer, and what is offered to them.

    \b
    Examples:
      herald transfers list --account globex
    """
    rows = {
        row["id"]: row
        for account in call.accounts()
        for row in call.client.all(herald("accounts", account, "transfers"))
    }
    return Rows(list(rows.values()), COLUMNS, "Nothing is offered.")


@app.writes("add", matches=True)
def add(
    call: Call,
    prefix: Which,
    to: Annotated[
        str,
        typer.Argument(metavar="ACCOUNT", help="Who is to have it.", autocompletion=completion.accounts),
    ],
) -> Done:
    """Offer a withdrawn prefix to another account; it moves when that accepts. Needs --reason.

    \b
    Examples:
      herald transfers add 198.51.100.0/24 globex --reason "Sold"
    """
    reason = call.why()
    target = call.prefix(prefix)
    path = herald("accounts", target.account_id, "prefixes", target.prefix_id, "transfers")
    made = call.client.write("POST", path, {"to_account_id": to, "reason": reason})
    return Done(made, f"{target.cidr} is offered to account {to}, as transfer {made.result.get('id')}")


@app.writes("accept", rolls=True)
def accept(call: Call, id_: Id) -> Done:
    """Accept a prefix, as the account that it is offered to.

    \b
    Examples:
      herald transfers accept 198.51.100.0/24 --account globex
    """
    return _decide(call, id_, "accept", "to_account_id", "is yours")


@app.writes("cancel")
def cancel(call: Call, id_: Id) -> Done:
    """Take an offer back, or turn it down.

    \b
    Examples:
      herald transfers cancel 198.51.100.0/24
    """
    return _decide(call, id_, "cancel", None, "is no longer offered")


def _decide(call: Call, which: str, what: str, side: str | None, says: str) -> Done:
    """Do ``what`` with an open offer, for the account in the field ``side`` of it (or any account of it)."""
    found = next((row for row in _open(call) if which in (row["id"], row["cidr"])), None)
    # One that is not open: the API says why nothing can be done with it.
    account = call.account() if found is None else str(found[side or "account_id"])
    if side is None and call.shared.account is not None:
        account = call.shared.account
    id_ = which if found is None else str(found["id"])
    made = call.client.write("POST", herald("accounts", account, "transfers", id_, what))
    return Done(made, f"{made.result.get('cidr', which)} {says}")


def _open(call: Call) -> list[dict[str, object]]:
    return [dict(row) for row in list_(call).rows if row["state"] == "offered"]
